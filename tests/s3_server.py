"""A small S3 server on loopback for tests: one bucket in memory that lists its requests and can refuse some.

As a script, `python s3_server.py HOST PORT FOLDER`, it begins with the files of a folder, and writes its objects there
when it is terminated.

It speaks what pyarrow's S3 client needs: GET with ranges, HEAD, PUT, DELETE, copies, listings and multipart uploads.
Signatures are not checked.
"""

from __future__ import annotations

import hashlib
import io
import signal
import sys
import threading
import time
import uuid
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"


class S3Server:
    """Serves `objects`, bytes by key, until `close`; `refused` keys answer 403, `requests` are methods with keys.

    Without `keeps_conditions` it passes over `If-None-Match`, as stores do that do not know it.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.keeps_conditions = True
        self._creating = threading.Lock()
        self.objects: dict[str, bytes] = {}
        self.changed_at: dict[str, float] = {}
        self.refused: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.uploads: dict[str, dict[int, bytes]] = {}
        self._http = ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"store": self}))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def query(self) -> str:
        """What stands behind the `?` of a URI of this server."""
        return f"endpoint_override=127.0.0.1:{self._http.server_address[1]}&scheme=http"

    def uri(self, key: str) -> str:
        """The URI of a key."""
        return f"s3://{BUCKET}/{key}?{self.query}"

    def put(self, key: str, content: bytes) -> None:
        self.objects[key] = content
        self.changed_at[key] = time.time()

    def put_new(self, key: str, content: bytes) -> bool:
        """Put an object unless there is one of its key; whether it was put."""
        with self._creating:
            if key in self.objects:
                return False
            self.put(key, content)
            return True

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    store: S3Server
    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = -1, True  # an answer in one packet, at once

    def handle_expect_100(self) -> bool:
        proceeds = super().handle_expect_100()
        self.wfile.flush()
        return proceeds

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def _request(self) -> tuple[str, dict[str, str]] | None:
        """The key and the query; None where the request was answered already."""
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.store.requests.append((self.command, key))
        if bucket != BUCKET:
            self._error(404, "NoSuchBucket")
        elif key in self.store.refused:
            self._error(403, "AccessDenied")
        else:
            return key, query
        return None

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "aws-chunked" not in (self.headers.get("Content-Encoding") or ""):
            return content
        chunked, plain = io.BytesIO(content), b""
        while size := int(chunked.readline().split(b";")[0], 16):
            plain += chunked.read(size)
            chunked.readline()
        return plain

    def do_HEAD(self) -> None:
        self._read()

    def do_GET(self) -> None:
        self._read()

    def _read(self) -> None:
        if (asked := self._request()) is None:
            return
        key, query = asked
        if not key:
            self._answer(200, b"" if self.command == "HEAD" else _listing(self.store, query))
        elif key not in self.store.objects:
            self._error(404, "NoSuchKey")
        else:
            self._send_object(key)

    def _send_object(self, key: str) -> None:
        content, status, headers = self.store.objects[key], 200, {}
        if wanted := self.headers.get("Range"):
            first, last = wanted.removeprefix("bytes=").split("-")
            end = min(int(last or len(content)), len(content) - 1)
            status, headers = 206, {"Content_Range": f"bytes {first}-{end}/{len(content)}"}
            content = content[int(first) : end + 1]
        changed = formatdate(self.store.changed_at[key], usegmt=True)
        length = {"Content_Length": str(len(content))}
        self._answer(status, content, Last_Modified=changed, ETag=_etag(content), **headers, **length)

    def do_PUT(self) -> None:
        body = self._body()
        if (asked := self._request()) is None:
            return
        key, query = asked
        source = unquote(self.headers.get("x-amz-copy-source", "")).lstrip("/").partition("/")[2]
        if self.headers.get("If-None-Match") == "*" and self.store.keeps_conditions:
            self._create(key, body)
        elif source and source not in self.store.objects:
            self._error(404, "NoSuchKey")
        elif source:
            self.store.put(key, self.store.objects[source])
            self._answer(200, f"<CopyObjectResult><ETag>{_etag(b'')}</ETag></CopyObjectResult>".encode())
        elif "partNumber" in query:
            self.store.uploads[query["uploadId"]][int(query["partNumber"])] = body
            self._answer(200, ETag=_etag(body))
        else:
            self.store.put(key, body)
            self._answer(200, ETag=_etag(body))

    def _create(self, key: str, body: bytes) -> None:
        if self.store.put_new(key, body):
            self._answer(200, ETag=_etag(body))
        else:
            self._error(412, "PreconditionFailed")

    def do_POST(self) -> None:
        self._body()
        if (asked := self._request()) is None:
            return
        key, query = asked
        if "uploads" in query:
            upload = uuid.uuid4().hex
            self.store.uploads[upload] = {}
            self._answer(
                200,
                f"<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key>"
                f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode(),
            )
        else:
            parts = self.store.uploads.pop(query["uploadId"])
            self.store.put(key, b"".join(parts[number] for number in sorted(parts)))
            self._answer(
                200,
                f"<CompleteMultipartUploadResult><ETag>{_etag(b'')}</ETag>"
                "</CompleteMultipartUploadResult>".encode(),
            )

    def do_DELETE(self) -> None:
        if (asked := self._request()) is None:
            return
        key, query = asked
        if "uploadId" in query:
            self.store.uploads.pop(query["uploadId"], None)
        else:
            self.store.objects.pop(key, None)
        self._answer(204)


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def _listing(store: S3Server, query: dict[str, str]) -> bytes:
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    encode = quote if query.get("encoding-type") == "url" else escape
    keys = sorted(key for key in store.objects if key.startswith(prefix))
    folders = {
        prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter
        for key in keys
        if delimiter and delimiter in key[len(prefix) :]
    }
    files = [key for key in keys if not any(key.startswith(folder) for folder in folders)]
    shown = files[: int(query.get("max-keys", 1000))]
    contents = "".join(
        f"<Contents><Key>{encode(key)}</Key><Size>{len(store.objects[key])}</Size>"
        f"<LastModified>{_iso(store.changed_at[key])}</LastModified><ETag>{_etag(b'')}</ETag></Contents>"
        for key in shown
    )
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{encode(one)}</Prefix></CommonPrefixes>" for one in sorted(folders)
    )
    return (
        f"<ListBucketResult><Name>{BUCKET}</Name><Prefix>{encode(prefix)}</Prefix>"
        f"<KeyCount>{len(shown) + len(folders)}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
        f"{contents}{prefixes}</ListBucketResult>"
    ).encode()


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + ".000Z"


def serve(host: str, port: int, folder: Path) -> None:
    """Serve the files of a folder until SIGTERM, and write back what there is then."""
    server = S3Server(host, port)
    for file in folder.rglob("*"):
        if file.is_file():
            server.put(file.relative_to(folder).as_posix(), file.read_bytes())
    signal.sigwait([signal.SIGTERM])
    for key, content in server.objects.items():
        if not key.endswith("/"):
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(content)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
