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

"""Reports in a real browser: nothing is complained about, nothing comes from elsewhere."""

from __future__ import annotations

from browser import visit
import cv2
import numpy as np
from ped_perception.evaluation.compare import compare
from ped_perception.evaluation.compare_report import report_of_comparison
from ped_perception.evaluation.comparison_summary import verdict_of
from ped_perception.evaluation.report import html_from_report
from ped_perception.evaluation.run_report import report_of_run
import pytest
from result_folders import example_runs

pytest.importorskip('motmetrics')
pytest.importorskip('pycocotools')


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """Show what a comparison says, without waiting for what chance can do."""
    monkeypatch.setattr('ped_perception.evaluation.compare.DRAWS', 100)


def page_of_run(tmp_path):
    return report_of_run(example_runs(tmp_path)[0])


def page_of_comparison(tmp_path):
    comparison = compare(*example_runs(tmp_path))
    report, problem = report_of_comparison(comparison, verdict_of(comparison, []))
    assert not problem
    return report


@pytest.mark.parametrize('page', [page_of_run, page_of_comparison])
@pytest.mark.parametrize('width', [1200, 400], ids=['desk', 'phone'])
def test_a_report_is_shown_without_complaint_and_asks_for_nothing(tmp_path, page, width):
    html = tmp_path / 'report.html'
    html.write_text(html_from_report(page(tmp_path)), encoding='utf-8')
    seen = visit(html, tmp_path / 'profile', width)
    assert seen.complaints == []
    assert seen.requests[0] == html.as_uri()
    assert [url for url in seen.requests[1:] if not url.startswith('data:')] == []
    assert seen.size[0] <= width, 'it must not be scrolled sideways'
    screen_hw3 = cv2.imdecode(np.frombuffer(seen.screen_png, np.uint8), cv2.IMREAD_COLOR)
    assert screen_hw3.shape[0] >= seen.size[1] > 1000
    blue, green, red = (screen_hw3[..., channel].astype(int) for channel in range(3))
    assert ((red - np.maximum(blue, green)) > 80).sum() > 50, 'the box of a missed person'
    assert ((blue - np.maximum(red, green)) > 80).sum() > 50, 'a line or bar of a chart'
    assert seen.paper_pdf.startswith(b'%PDF-')


@pytest.mark.parametrize(('body', 'why'), [
    ('<img src="http://127.0.0.1:9/a.png">', 'a picture from elsewhere'),
    ('<link rel="stylesheet" href="http://127.0.0.1:9/a.css">', 'a style from elsewhere'),
    ('<script>console.error("no")</script>', 'an error of a script'),
    ('<script>throw new Error("no")</script>', 'an exception')])
def test_the_browser_would_have_told(tmp_path, body, why):
    html = tmp_path / 'page.html'
    html.write_text(f'<!DOCTYPE html><title>t</title><body>{body}</body>')
    seen = visit(html, tmp_path / 'profile')
    outside = [url for url in seen.requests[1:] if url.startswith('http')]
    assert seen.complaints or outside, why


def test_a_report_refuses_what_is_from_elsewhere(tmp_path):
    page = html_from_report(page_of_run(tmp_path))
    html = tmp_path / 'report.html'
    html.write_text(page.replace('</main>', '<img src="http://127.0.0.1:9/a.png"></main>'))
    complaint, = visit(html, tmp_path / 'profile').complaints
    assert 'Content Security Policy' in complaint
