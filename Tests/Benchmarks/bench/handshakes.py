"""Handshakes of TLS in memory, as a link has them: what the server's part of one takes when OpenSSL does nothing else.

    handshakes.py IDENTITY COUNT

prints a JSON line. Who calls it chooses the CPU, and by OPENSSL_CONF what Python's ssl cannot set: suites and groups. In place of
the relay's look at a fingerprint OpenSSL checks a chain of one certificate.
"""
import json
import ssl
import sys
import time


def context(protocol, identity):
    made = ssl.SSLContext(protocol)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(identity)
    made.load_cert_chain(identity)
    made.set_alpn_protocols(["adit/1"])
    return made


def server_seconds(client_context, server_context, held):
    """CPU time of the server's part of one handshake. Both ends are added to what is `held`, as a relay holds its links."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server, used = None, 0
    while True:
        client_is_done = advance(client)
        begun = time.thread_time()
        server = server or server_context.wrap_bio(to_server, to_client, server_side=True)
        server_is_done = advance(server)
        used += time.thread_time() - begun
        if client_is_done and server_is_done:
            held += client, server
            return used


def advance(connection):
    """Goes as far as what has been received allows; whether it is done."""
    try:
        connection.do_handshake()
        return True
    except ssl.SSLWantReadError:
        return False


def main(identity, count):
    client, server = context(ssl.PROTOCOL_TLS_CLIENT, identity), context(ssl.PROTOCOL_TLS_SERVER, identity)
    server.num_tickets = 0
    held = []
    server_seconds(client, server, held)  # what the first one needs is nobody's share
    used = sum(server_seconds(client, server, held) for _ in range(int(count)))
    print(json.dumps({"handshakes": int(count), "seconds": used, "suite": held[-1].cipher()[0]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
