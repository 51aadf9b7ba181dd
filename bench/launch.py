"""launch.py REPORT COMMAND...: runs the command and writes its seconds, of the clock and of the processor, and its peak
memory to REPORT.

A process of its own because Linux counts the peak of the process that starts a command as the command's: this
one is smaller than anything that is measured.
"""
import json
import os
import sys
import time

begin = time.perf_counter()
child = os.fork()
if child == 0:
    try:
        os.execv(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print(f"{sys.argv[2]}: {error.strerror}", file=sys.stderr)
        os._exit(127)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    json.dump({"seconds": time.perf_counter() - begin, "processor_seconds": usage.ru_utime + usage.ru_stime,
               "mib": usage.ru_maxrss / 1024}, file)
sys.exit(0 if status == 0 else 1)
