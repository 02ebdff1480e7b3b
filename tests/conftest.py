"""What holds for all tests."""

import signal

# A shell's background job ignores Ctrl-C, and hands that down to the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
