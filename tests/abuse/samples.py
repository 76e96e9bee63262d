"""Small valid files of every kind, to be mangled."""

from __future__ import annotations

import io
import json
from functools import cache
from importlib import resources

import pyarrow as pa
import pyarrow.parquet as pq

from sim.models.workloads.catalogue import load_catalogue
from sim.models.workloads.data import graph_to_dict

PERCENTILES = ",".join(f"percentile_Average_{p}" for p in (0, 1, 25, 50, 75, 99, 100))
NATIVE = b"arrival_s,function,duration_s,memory_bytes\n0,a/f,1,64\n0.5,b/g,2,\n0.5,a/f,0,65\n99.25,a/f,3,\n"
TRACES: dict[str, bytes] = {
    "day.csv": b"HashOwner,HashApp,HashFunction,Trigger,480,481,482\no,a,f,http,1,0,2\no,a,g,timer,0,7,1\n",
    "durations.csv": f"HashApp,HashFunction,Average,{PERCENTILES}\na,f,5,1,2,3,4,5,6,7\n".encode(),
    "2021.csv": b"app,func,end_timestamp,duration\na,f,10.5,0.25\nb,g,99.0,3\na,f,7,0\nb,g,300.0,1e1\n",
    "llm.csv": b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n"
    b"2023-11-16 18:17:04.0319600,3180,8\n2023-11-16 18:18:04,110,27",
    "genai.csv": b"gmt_create,predict_status,exec_time_seconds,checkpoint_model_version_id\n"
    b"2025-01-01 00:00:05,SUCCEED,23.5,m1\n2025-01-01 00:00:05,FAILED,0,\n2025-01-01 00:01:05,PENDING,1.0,m2\n",
    "pods.csv": b"name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,"
    b"scheduled_time\np0,12000,16384,1,1000,,LS,Running,0,125,0\np1,8000,32768,1,460,V100M16,BE,Pending,60,70,\n",
    "wide.csv": b"day,time,0,1,2\n3,259200,,2,\n3,259260,1.0,,4\n",
    "requests.csv": b"time_worker,funcName,podID,userID,totalCost_worker\n"
    b"2592000.5,400,pool24-600-512-0000577863,418,0.25\n2592000.1,400,pool22-300-128-0000000001,418,0\n",
    "opendc.csv": b"Timestamp [ms],Invocations, Avg Exec time per Invocation,Provisioned Memory [mb],name\n"
    b"60000,1,300262,256,f\n120000,0,300262,256,f\n180000,5,10,256,f\n",
    "counts.txt": b"118 20\t5 0 226 181\n7 0 3 ",
    "native.csv": NATIVE,
}
SCENARIO = """\
traces: [native.csv]
policies: [balance, "affinity[penalty=2]"]
placement: uniform
window: 00:00-00:02
limit: 20
rate_scale: 1.5
seed: 3
functions: catalogue
catalogue: kaas
fleet: {gpus: 2, gpus_per_node: 8, gpus_per_link: 1, calibration: v100-kaas}
granularity: graph
spread: 0.1
"""
POINTS = "workload,mode,clients,throughput_qps,p50_s,mine\nresnet50,kaas,1,20,0.05,x\nbert,exclusive,4,30,0.1,y\n"
LOADS = (
    "closed[outstanding=2,duration=5]", "nshot[n=4]", "poisson[rate=3,duration=5]", "offline[samples=5,duration=1]",
    "zipf[rate=3,duration=5,exponent=1.8,max_ratio=20]", "single-stream[duration=1,min_queries=3]",
    "multi-stream[duration=1,min_queries=3]", "server[rate=9,duration=5,min_queries=4,bound=0.1]",
)  # fmt: skip
POLICIES = ("balance", "affinity[penalty=10]", "exclusive", "least-loaded", "static", "fractional")


@cache
def parquet() -> bytes:
    """A native trace in Parquet."""
    buffer = io.BytesIO()
    table = pa.table({"arrival_s": [0.0, 0.5, 70.0], "function": ["a/f", "b/g", "a/f"], "duration_s": [1.0, 0.0, 3.0]})
    pq.write_table(table, buffer, write_page_checksum=True, row_group_size=2)
    return buffer.getvalue()


@cache
def calibration() -> str:
    """A built-in calibration, and what it lacks: a spread, and facts of batches."""
    whole = json.loads(resources.files("sim.models").joinpath("calibrations", "v100-kaas.json").read_text("utf-8"))
    whole["spread"] = whole["graphs"]["bert"]["kaas"]["batch_fixed_frac"] = {"value": 0.1, "source": "assumed"}
    whole["graphs"]["cGEMM"]["kaas"]["batch_run_s"] = {"4": {"value": 0.1, "source": "assumed"}}
    return json.dumps(whole, indent=1)


@cache
def catalogue() -> str:
    """A catalogue of two graphs."""
    entries = [load_catalogue("small")[name] for name in ("jacobi-small", "sgemm-small")]
    return json.dumps({"entries": [{"fresh_inputs": e.fresh_inputs, "graph": graph_to_dict(e.graph)} for e in entries]})
