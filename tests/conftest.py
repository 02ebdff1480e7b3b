"""Setup for all tests."""

import signal

# Background jobs of a shell ignore SIGINT, and the programs that tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
