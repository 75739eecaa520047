# Copyright 2026 The ped_perception authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Headless Chromium, asked through its DevTools protocol what a page does."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import select
import shutil
import subprocess
import sys
import time

import pytest

# Debian and Fedora, Ubuntu, and what Google ships.
_NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome')
_TIMEOUT_S = 120
# The browser reads what is asked at 3 and answers at 4, whatever numbers the pipes have here.
_START = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for place, pipe in zip((3, 4), pipes):
    os.dup2(pipe, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
# Times without anything new after which a page is at rest.
_REST_S = 0.5


@dataclass
class Visit:
    """
    What a page did.

    Attributes:
        requests: addresses it asked for, its own first.
        complaints: errors and warnings of the console, and of the browser about the page.
        size: width and height of its content in CSS pixels, as laid out.
        screen_png: what it looks like.
        paper_pdf: as it is printed.
    """

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    size: tuple[float, float] = (0.0, 0.0)
    screen_png: bytes = b''
    paper_pdf: bytes = b''


def chromium() -> str:
    """Give the browser's path; skip where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f'no browser: none of {", ".join(_NAMES)} is installed; on Debian: '
                    f'apt-get install chromium')
    return found


def visit(page: Path, profile: Path, width: int = 1200) -> Visit:
    """
    Open a page, and take a picture of all of it on screen and on paper.

    Args:
        page: file to open.
        profile: folder for the browser's own files.
        width: of the window in CSS pixels.
    """
    with _Browser(chromium(), profile) as browser:
        for domain in ('Page', 'Network', 'Log', 'Runtime'):
            browser.ask(f'{domain}.enable')
        # A window cannot be as narrow as a phone.
        browser.ask('Emulation.setDeviceMetricsOverride', width=width, height=900,
                    deviceScaleFactor=1, mobile=False)
        browser.ask('Page.navigate', url=page.resolve().as_uri())
        browser.listen_until('Page.loadEventFired')
        browser.listen(_REST_S)
        size = browser.ask('Page.getLayoutMetrics')['cssContentSize']
        browser.visit.size = (size['width'], size['height'])
        browser.visit.screen_png = base64.b64decode(browser.ask(
            'Page.captureScreenshot', format='png', captureBeyondViewport=True)['data'])
        browser.visit.paper_pdf = base64.b64decode(browser.ask(
            'Page.printToPDF', printBackground=True, preferCSSPageSize=True)['data'])
        return browser.visit


class _Browser:
    """A browser that is spoken to through a pair of pipes, as --remote-debugging-pipe has it."""

    def __init__(self, program: str, profile: Path) -> None:
        self.visit = Visit()
        self._command = [
            program, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
            '--hide-scrollbars', '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync', '--mute-audio',
            f'--user-data-dir={profile}', '--remote-debugging-pipe', 'about:blank']
        self._asked, self._seen, self._rest = 0, [], b''
        self._session: dict[str, str] = {}

    def __enter__(self) -> _Browser:
        commands, self._to = os.pipe()
        self._from, answers = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, '-c', _START, str(commands), str(answers), *self._command],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(commands, answers))
        os.close(commands)
        os.close(answers)
        target = next(one for one in self.ask('Target.getTargets')['targetInfos']
                      if one['type'] == 'page')
        self._session = {'sessionId': self.ask(
            'Target.attachToTarget', targetId=target['targetId'], flatten=True)['sessionId']}
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def ask(self, method: str, **parameters: object) -> dict:
        """Call a method, and give its result."""
        self._asked += 1
        text = json.dumps({'id': self._asked, 'method': method, 'params': parameters,
                           **self._session})
        os.write(self._to, text.encode() + b'\0')
        while True:
            message = self._next(_TIMEOUT_S)
            if message.get('id') == self._asked:
                assert 'error' not in message, f'{method}: {message["error"]}'
                return message['result']

    def listen_until(self, event: str) -> None:
        """Take in what happens until an event has come."""
        while event not in self._seen:
            self._next(_TIMEOUT_S)

    def listen(self, rest_s: float) -> None:
        """Take in what happens until nothing does."""
        while self._next(rest_s, must_come=False):
            pass

    def _next(self, timeout_s: float, must_come: bool = True) -> dict:
        end_s = time.monotonic() + timeout_s
        while b'\0' not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end_s - time.monotonic()))
            if not ready:
                assert not must_come, f'the browser said nothing for {timeout_s} s'
                return {}
            part = os.read(self._from, 1 << 20)
            assert part, f'the browser ended: {self._process.wait(20)}'
            self._rest += part
        text, _, self._rest = self._rest.partition(b'\0')
        message = json.loads(text)
        self._note(message.get('method', ''), message.get('params', {}))
        return message

    def _note(self, event: str, told: dict) -> None:
        self._seen.append(event)
        if event == 'Network.requestWillBeSent':
            self.visit.requests.append(told['request']['url'])
        elif event == 'Log.entryAdded' and told['entry']['level'] in ('error', 'warning'):
            self.visit.complaints.append(told['entry']['text'])
        elif event == 'Runtime.consoleAPICalled' and told['type'] in ('error', 'warning'):
            self.visit.complaints.append(str(told['args']))
        elif event == 'Runtime.exceptionThrown':
            self.visit.complaints.append(str(told['exceptionDetails']))
