"""Web pages: which of them may read what nginx itself answers, and are told so before they ask."""

import json
import unittest

from nginx_front import Front, Instance, need_nginx

ALLOWED, OTHER = "https://voice.example.com", "https://evil.example"
# What a page sends ahead of a request that is more than a form's.
ASKING = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


class Pages(unittest.TestCase):
    def start(self, origins, edit_limits=None, is_there=True):
        need_nginx()
        instance = Instance("asr-1")
        self.addCleanup(instance.stop)
        if not is_there:
            instance.stop()
        front = Front([instance], edit_limits, origins)
        self.addCleanup(front.stop)
        return front, instance

    def allowed(self, front, path, origin, method="GET", body=None):
        """The status, and who may read it."""
        status, headers, answer = front.ask(path, method, body, {"Origin": origin} if origin else {})
        self.assertIn("error", json.loads(answer))
        self.assertEqual("Access-Control-Expose-Headers" in headers, "Access-Control-Allow-Origin" in headers)
        self.assertEqual(headers["Vary"], "Origin")
        return status, headers.get_all("Access-Control-Allow-Origin")

    def test_those_on_the_list_read_refusals(self):
        front, _ = self.start([ALLOWED], is_there=False)
        asked = (("/nothing", "GET", None, 404), ("/metrics", "GET", None, 403), ("/v1/detect", "POST", b"", 503),
                 ("/v1/synthesize", "POST", bytes((1 << 20) + 1), 413), ("/" + "x" * (33 << 10), "GET", None, 414))
        for path, method, body, status in asked:
            with self.subTest(path=path[:20]):
                # An address that is too long is refused before it is read who asks.
                readers = None if status == 414 else [ALLOWED]
                self.assertEqual(self.allowed(front, path, ALLOWED, method, body), (status, readers))
                self.assertEqual(self.allowed(front, path, OTHER, method, body), (status, None))
                self.assertEqual(self.allowed(front, path, None, method, body), (status, None))

    def test_nobody_is_on_the_list_and_everybody(self):
        front, _ = self.start([])
        self.assertEqual(self.allowed(front, "/nothing", ALLOWED), (404, None))
        front, _ = self.start(["*"])
        self.assertEqual(self.allowed(front, "/nothing", OTHER), (404, ["*"]))
        self.assertEqual(self.allowed(front, "/nothing", None), (404, None))

    def test_what_is_asked_ahead_is_never_refused(self):
        def limits(text):
            return text.replace("127.0.0.0/8 0", "127.0.0.0/8 1").replace("rate=50r/s", "rate=1r/m").replace("burst=200", "burst=1")

        front, instance = self.start([ALLOWED], limits)
        for _ in range(4):
            status, headers, _ = front.ask("/v1/transcribe", "OPTIONS", None, {"Origin": ALLOWED, **ASKING})
            self.assertEqual((status, headers["Access-Control-Allow-Origin"], headers["Access-Control-Allow-Headers"]),
                             (204, ALLOWED, ASKING["Access-Control-Request-Headers"]))
        self.assertEqual(instance.asked, [])
        answers = [front.ask("/v1/detect", "POST", b"", {"Origin": ALLOWED}) for _ in range(4)]
        self.assertEqual([it[0] for it in answers], [200, 200, 429, 429])
        self.assertEqual((answers[-1][1]["Access-Control-Allow-Origin"], answers[-1][1]["Retry-After"]), (ALLOWED, "1"))

    def test_the_servers_answer_everybody_else(self):
        front, instance = self.start([ALLOWED])
        for headers in ({"Origin": OTHER, **ASKING}, {"Origin": ALLOWED}, ASKING):
            status, answered, _ = front.ask("/v1/transcribe", "OPTIONS", None, headers)
            self.assertEqual((status, answered["Access-Control-Allow-Origin"]), (200, None), headers)
        self.assertEqual([it[0] for it in instance.asked], ["OPTIONS"] * 3)


if __name__ == "__main__":
    unittest.main()
