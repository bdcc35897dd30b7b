"""Opens each of the messages on stdin by the recipe of docs/FORMAT.md, which lies beside this file."""

import json
import sys

from recipe import open_envelope

task = json.load(sys.stdin)
results = []
for each in task["messages"]:
    record_key = each["recordKey"]
    try:
        plaintext, _ = open_envelope(each["envelope"], task["jwk"], each["channel"], None if record_key is None else record_key.encode())
        results.append({"bytes": len(plaintext)})
    except Exception as error:
        results.append({"error": str(error)})
print(json.dumps({"results": results}))
