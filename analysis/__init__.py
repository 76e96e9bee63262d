"""Tables, comparisons and figures from run directories, whichever world wrote them."""
