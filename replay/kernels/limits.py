"""What a launch may ask of a GPU (CUDA C Programming Guide, Technical Specifications per Compute Capability)."""

MAX_BLOCK_THREADS = 1024
MAX_GRID_YZ = 65535
REGISTERS = 65536  # of a block, 32 bits each
DEFAULT_SHARED_BYTES = 48 << 10  # of a block: all that is static, and dynamic memory without funcSetAttribute
MAX_SHARED_BYTES = 227 << 10  # dynamic memory with it, on an H100 (compute capability 9.0)
