"""Starts the program ``serve``, waits until /ping is 200, and prints the answer to an image as JSON.

Arguments: the model's directory, the image.
"""

import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

model, image = sys.argv[1:]
argv = ["serve", "--host", "127.0.0.1", "--port", "0", model]
with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
    assert server.stdout
    lines: list[str] = []
    address = ""
    while not address:
        lines.append(server.stdout.readline())
        assert lines[-1], "".join(lines)
        if found := re.search(r"listening on (http://\S+?)/?\s", lines[-1]):
            address = found[1]

    def status() -> int:
        try:
            return int(urllib.request.urlopen(f"{address}/ping").status)
        except urllib.error.HTTPError as error:
            return error.code

    while status() != 200:
        assert server.poll() is None, server.stdout.read()
        time.sleep(0.5)
    with urllib.request.urlopen(f"{address}/invocations?threshold=0.02", Path(image).read_bytes()) as answer:
        print(answer.read().decode().strip())
    server.terminate()
