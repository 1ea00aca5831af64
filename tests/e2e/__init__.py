"""End to end: the real data plane between real sockets, real clients and real origins. Loopback and free ports only."""
