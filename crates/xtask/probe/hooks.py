"""What `cargo xtask probe` teaches schemathesis: not to end the session that it works with, and how to send bytes."""

import os

import schemathesis

OWN = os.environ["PROBE_OWN_ID"]


@schemathesis.hook
def filter_case(context, case):
    """Leaves out what would take the tester's own account away; the walk test covers those operations."""
    own = OWN in str(case.path_parameters or "")
    return case.method.upper() == "GET" or not own


@schemathesis.serializer("application/vnd.tcpdump.pcap")
def capture(context, value):
    return value if isinstance(value, bytes) else str(value).encode()
