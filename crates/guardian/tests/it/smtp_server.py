"""A mail server for tests: takes mail and writes each as one line of JSON to standard output.

The first line tells the port. Arguments: --starttls CERT KEY offers STARTTLS and insists on it; --refuse N answers the
first N mails with a temporary error. It ends when its standard input closes.
"""

import argparse
import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP

arguments = argparse.ArgumentParser()
arguments.add_argument("--starttls", nargs=2)
arguments.add_argument("--refuse", type=int, default=0)
options = arguments.parse_args()


class Handler:
    refused = 0

    async def handle_DATA(self, server, session, envelope):
        if Handler.refused < options.refuse:
            Handler.refused += 1
            return "451 come back later"
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "text": envelope.content.decode("utf-8", "replace"),
        }
        print(json.dumps(told), flush=True)
        return "250 taken"


context = None
if options.starttls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*options.starttls)


async def main():
    loop = asyncio.get_running_loop()
    handler = Handler()

    def session():
        return SMTP(handler, tls_context=context, require_starttls=context is not None, loop=loop)

    server = await loop.create_server(session, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
