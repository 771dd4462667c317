"""The service and its index: what is put is listed, and an index that was away is made up for."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from stamp_service.demo import demo_alerts
from tests.integration.services.service import RunningService, running_service

TOKEN = "a-token-for-writing"
OBJECT = "ZTF25demoaaa"
ALERTS = [alert for alert in demo_alerts("ztf") if alert.object_id == OBJECT]


def put(service: RunningService, alert) -> int:
    answer = requests.post(
        f"{service.url}/put_avro",
        data={"candid": alert.alert_id, "survey_id": "ztf"},
        files={"avro": alert.packet},
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=20,
    )
    return answer.status_code


def get(service: RunningService, path: str) -> requests.Response:
    return requests.get(f"{service.url}{path}", timeout=20)


def indexed(service: RunningService, outcome: str) -> float:
    text = get(service, "/metrics").text
    return float(re.search(rf'^stamp_index_alerts_total{{outcome="{outcome}"}} (.*)$', text, re.MULTILINE)[1])


def test_what_is_put_is_listed_at_once_by_any_worker(tmp_path):
    with running_service(tmp_path, STAMP_WRITE_TOKENS=TOKEN, STAMP_DEMO="false") as service:
        assert get(service, f"/v1/objects/ztf/{OBJECT}/alerts").status_code == 404
        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(lambda alert: put(service, alert), ALERTS)) == {201}
            answers = list(pool.map(lambda _: get(service, f"/v1/objects/ztf/{OBJECT}/alerts").json(), range(12)))
        for answer in answers:
            assert [alert["alert_id"] for alert in answer["alerts"]] == [alert.alert_id for alert in ALERTS]
        first = answers[0]["alerts"][0]
        cone = f"{first['ra_deg']},{first['dec_deg']},1"
        page = get(service, f"/v1/alerts/ztf?cone={cone}&limit=2").json()
        assert len(page["alerts"]) == 2
        assert len(get(service, page["next"]).json()["alerts"]) == 2
        assert get(service, first["links"]["triptych"]).headers["Content-Type"] == "image/png"
        assert indexed(service, "ok") == len(ALERTS)
        assert get(service, "/v1/health/ready").json()["index"] == "ok"


def test_the_demo_is_listed(tmp_path):
    with running_service(tmp_path) as service:
        for survey in ("ztf", "atlas", "lsst"):
            assert len(get(service, f"/v1/alerts/{survey}").json()["alerts"]) == 17


def test_an_index_that_was_away_is_made_up_for(tmp_path):
    folder = tmp_path / "not-mounted"
    environment = {"STAMP_INDEX_URL": f"sqlite:///{folder}/index.sqlite", "STAMP_DEMO": "false"}
    with running_service(tmp_path / "data", STAMP_WRITE_TOKENS=TOKEN, **environment) as service:
        assert [put(service, alert) for alert in ALERTS[:3]] == [201] * 3
        assert get(service, f"/v1/alerts/ztf/{ALERTS[0].alert_id}.avro").content == ALERTS[0].packet
        assert (indexed(service, "ok"), indexed(service, "failed")) == (0, 3)
        ready = get(service, "/v1/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert get(service, f"/v1/objects/ztf/{OBJECT}/alerts").status_code == 503
        folder.mkdir()
        command = [Path(sys.executable).with_name("stamp-service"), "index", "rebuild", "ztf"]
        rebuilt = subprocess.run(
            command,
            env=os.environ | environment | {"STAMP_DATA_DIR": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert rebuilt.stdout.startswith("ztf (local): entered 3;")
        answer = get(service, f"/v1/objects/ztf/{OBJECT}/alerts")
        assert [alert["alert_id"] for alert in answer.json()["alerts"]] == [alert.alert_id for alert in ALERTS[:3]]
