"""Signs a token for channels with PyJWT, as an app would: channel_token.py ALGORITHM KEYFILE CHANNEL

For HS256 the file has the secret in base64url, as the door takes it.
"""

import base64
import sys
import time

import jwt

algorithm, file, channel = sys.argv[1:]
with open(file, "rb") as opened:
    key = opened.read()
if algorithm == "HS256":
    key = base64.urlsafe_b64decode(key.strip() + b"==")
claims = {"mercure": {"subscribe": [channel]}, "sub": "cook", "exp": int(time.time()) + 60}
print(jwt.encode(claims, key, algorithm=algorithm))
