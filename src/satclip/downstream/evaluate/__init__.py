"""The benchmark's numbers: hold-outs, probes, rivals that need no network, intervals, and the loop over them."""
