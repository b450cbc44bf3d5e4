"""nginx as an instant upstream, and as a plain proxy in front of it."""

from pathlib import Path

from bench.proxies.payloads import ANSWER
from bench.proxies.process import BenchProcess, free_port, start_process

_MAIN = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxied;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {what}
}}
"""
_UPSTREAM = """
server {{
  listen 127.0.0.1:{port} backlog=4096;
  location / {{ default_type application/json; return 200 '{answer}'; }}
}}
"""
_PROXY = """
upstream teacher {{ server {teacher}; keepalive 256; keepalive_requests 1000000000; }}
server {{
  listen 127.0.0.1:{port} backlog=4096;
  location / {{
    proxy_pass http://teacher; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering {buffering};
  }}
}}
"""


def start_instant_upstream(folder: Path, answer: str = ANSWER) -> BenchProcess:
    """Answers everything at once with the same chat completion."""
    port = free_port()
    return _start_nginx("upstream", folder / "upstream", port, _UPSTREAM.format(port=port, answer=answer))


def start_plain_proxy(folder: Path, upstream: str, *, name: str = "nginx", buffering: bool = True) -> BenchProcess:
    """Passes everything on to an upstream, as the ceiling of what a proxy can do."""
    port, teacher = free_port(), upstream.removeprefix("http://")
    what = _PROXY.format(port=port, teacher=teacher, buffering="on" if buffering else "off")
    return _start_nginx(name, folder / name, port, what)


def _start_nginx(name: str, folder: Path, port: int, what: str) -> BenchProcess:
    folder.mkdir(parents=True)
    config = folder / "nginx.conf"
    config.write_text(_MAIN.format(folder=folder, what=what))
    command = ["nginx", "-c", str(config), "-p", str(folder), "-e", str(folder / "errors")]
    return start_process(name, command, f"http://127.0.0.1:{port}", folder / "log")
