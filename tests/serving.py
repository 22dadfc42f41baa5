"""A server on this computer that gives one file, well or badly; nothing else is reached."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """What a server has, how it behaves, and what it was asked.

    Parameters
    ----------
    content : bytes
        The file.
    """

    def __init__(self, content):
        self.content = content
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.ranges = True  # whether it can go on from the middle
        self.cuts = []  # after how many bytes the next answers break off
        self.stalls = []  # after how many bytes the next answers say nothing more
        self.slow = None  # called with the number of bytes sent so far
        self.redirect = ''  # of everything that is not /file
        self.status = 200
        self.lacks_length = False
        self.wrong_range = False
        self.asked = []  # path and the header Range
        self.end = threading.Event()

    @property
    def size(self):
        return len(self.content)


def _handler(served):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def log_message(self, *_):
            pass

        def do_GET(self):
            asked = self.headers.get('Range', '')
            served.asked.append((self.path, asked))
            self.close_connection = True
            if served.redirect and not self.path.endswith('/file'):
                self._head(302, Location=served.redirect, Content_Length='0')
            elif served.status != 200:
                self._head(served.status, Content_Length='0')
            elif asked and served.ranges:
                self._part(int(asked.removeprefix('bytes=').removesuffix('-')))
            else:
                self._send(200, 0)

        def _part(self, start):
            if start >= served.size:
                self._head(416, Content_Length='0')
            else:
                said = 0 if served.wrong_range else start
                whole = f'bytes {said}-{served.size - 1}/{served.size}'
                self._send(206, start, Content_Range=whole)

        def _head(self, status, **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace('_', '-'), value)
            self.send_header('Connection', 'close')
            self.end_headers()

        def _send(self, status, start, **headers):
            body = served.content[start:]
            length = {} if served.lacks_length else {'Content_Length': str(len(body))}
            self._head(status, **headers, **length)
            cut = served.cuts.pop(0) if served.cuts else None
            stall = served.stalls.pop(0) if served.stalls else None
            try:
                for at in range(0, len(body), 8192):
                    if cut is not None and at >= cut:
                        return
                    if stall is not None and at >= stall:
                        served.end.wait(30)
                        return
                    self.wfile.write(body[at : at + 8192])
                    if served.slow is not None:
                        served.slow(at)
            except (BrokenPipeError, ConnectionResetError):
                pass

    return Handler


@contextmanager
def serving(served):
    """Run a server; gives its address, which ends with a slash."""
    server = ThreadingHTTPServer(('127.0.0.1', 0), _handler(served))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.05})
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}/'
    finally:
        served.end.set()
        server.shutdown()
        thread.join()
        server.server_close()
