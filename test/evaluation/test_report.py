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

"""The report is one file, complete, escaped, and its charts stand where the data say."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
import re
import xml.etree.ElementTree as ElementTree

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.evaluation.charts import (
    Bar,
    Chart,
    histogram,
    lay_out,
    Line,
    log_ticks,
    ticks,
)
from ped_perception.evaluation.report import (
    html_from_report,
    picture_from_image,
    Pictures,
    Report,
    Section,
    Shares,
    Table,
    Tile,
)
import pytest

EMPTY_ELEMENTS = {'meta', 'link', 'img', 'br', 'line', 'path'}


def picture():
    image_hw3 = np.zeros((90, 160, 3), np.uint8)
    image_hw3[:, 80:] = (0, 0, 255)
    return image_hw3


def report(**changes) -> Report:
    given_values = {
        'title': 'A <title> & more', 'subtitle': 'clip.mp4', 'verdict': 'All fine.', 'good': True,
        'tiles': (Tile('Rate', '25.0', 'fps', 'measured'),),
        'sections': (Section('Seen', 'lead', (
            Pictures('Frames', (picture_from_image(picture(), 'left "black"'),)),
            Chart('Lines', 't [s]', 'n', lines=(
                Line([0, 1, 2], [1, 3, 2], 'one'), Line([0, 1, 2], [0, 1, 1], 'two'))),
            histogram([1.0, 2.0, 2.5, 9.0], title='H', x_label='ms', y_label='n',
                      marks={'p50': 2.25}),
            Shares('Stages', (('infer', 20.0, '20 ms'), ('views', 5.0, '5 ms')), 'why'),
            Table('Setup', (('model', '<script>alert(1)</script>'),), ('key', 'value')))),),
        'footer': 'how'}
    return Report(**{**given_values, **changes})


class Page(HTMLParser):
    """Checks that elements are closed in order and collects what refers to elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [value for key, value in attributes
                            if key in ('src', 'href', 'srcset', 'data', 'action')]
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_the_page_is_well_formed_and_asks_nothing_of_the_network():
    html = html_from_report(report())
    page = Page(html)
    assert all(reference.startswith('data:') for reference in page.references)
    assert not re.search(r'https?://|@import|url\(', html)
    assert page.tags.count('svg') == 2
    assert 'script' not in page.tags, 'text from outside must not become markup'
    assert '<script>alert(1)</script>' in page.texts
    assert 'A <title> & more' in page.texts


def test_everything_given_is_on_the_page():
    texts = ' '.join(Page(html_from_report(report())).texts)
    for text in ('25.0', 'fps', 'measured', 'All fine.', 'lead', '20 ms', 'why', 'model', 'key',
                 'how', 'one', 'two', 'p50', 't [s]'):
        assert text in texts


@pytest.mark.parametrize(('good', 'mark'), [
    (True, 'verdict good'), (False, 'verdict bad'), (None, 'verdict neutral')])
def test_the_verdict_looks_like_what_it_says(good, mark):
    assert f'class="{mark}"' in html_from_report(report(good=good))


def test_a_picture_travels_inside_and_is_scaled_to_its_width():
    inside = picture_from_image(picture(), 'caption', width=80)
    assert (inside.width, inside.height) == (80, 45)
    head, _, text = inside.data_uri.partition(',')
    assert head == 'data:image/jpeg;base64'
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (45, 80, 3)
    assert decoded[22, 60, 2] > 200
    assert decoded[22, 10].max() < 50
    assert picture_from_image(picture(), 'caption').width == 160, 'small ones stay as they are'


def svg_of(chart: Chart) -> ElementTree.Element:
    html = html_from_report(report(sections=(Section('s', '', (chart,)),)))
    return ElementTree.fromstring(re.search(r'<svg.*</svg>', html, re.DOTALL).group())


def test_bars_stand_where_the_data_say():
    chart = Chart('c', 'x', 'y', bars=(Bar(0, 10, 4, 'first'), Bar(10, 10, 8, 'second')),
                  x_range=(0, 20), y_range=(0, 8))
    first, second = svg_of(chart).findall("rect[@class='bar']")
    left, top, right, bottom = lay_out(chart).frame
    assert float(first.get('x')) == pytest.approx(left, abs=1)
    assert float(second.get('x')) == pytest.approx((left + right) / 2, abs=1)
    assert float(second.get('height')) == pytest.approx(bottom - top, abs=0.2)
    assert float(first.get('height')) == pytest.approx((bottom - top) / 2, abs=0.2)
    assert float(first.get('y')) + float(first.get('height')) == pytest.approx(bottom, abs=0.2)
    assert first.find('title').text == 'first'


def test_lines_go_through_their_points_and_steps_keep_the_value_until_the_next():
    chart = Chart('c', 'x', 'y', lines=(Line([0, 10], [0, 5]), Line([0, 10], [5, 0], steps=True)),
                  x_range=(0, 10), y_range=(0, 5))
    left, top, right, bottom = lay_out(chart).frame
    straight, stepped = lay_out(chart).paths
    assert straight == f'M{left:.1f} {bottom:.1f}L{right:.1f} {top:.1f}'
    assert stepped == f'M{left:.1f} {top:.1f}H{right:.1f}V{bottom:.1f}'


def test_labels_of_marks_do_not_cover_each_other_or_the_bars():
    laid_out = lay_out(Chart('c', 'x', 'y', bars=(Bar(0, 1, 1, ''),),
                             marks={'p99': 0.52, 'p50': 0.5, 'p95': 0.51}))
    assert [label for _, _, label, _ in laid_out.marks] == ['p50', 'p95', 'p99']
    rows = [y for _, y, _, _ in laid_out.marks]
    assert min(np.diff(rows)) >= 14
    assert rows[-1] < laid_out.frame[1] + 6, 'below the top of the bars'


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=300))
def test_a_histogram_counts_every_value_once(values):
    chart = histogram(values, title='', x_label='', y_label='',
                      marks={'median': float(np.median(values))})
    assert sum(bar.y for bar in chart.bars) == len(values)
    edges = [bar.x for bar in chart.bars]
    assert edges == sorted(edges)
    assert len(edges) < 60
    assert all(np.isfinite(bar[:4]).all() for bar in lay_out(chart).bars)


def test_one_late_frame_does_not_press_the_others_into_one_bar():
    values = [*np.linspace(20, 30, 200), 2000.0]
    chart = histogram(values, title='', x_label='', y_label='', marks={})
    assert sum(bar.y > 0 for bar in chart.bars) > 4
    assert '2000' in chart.note, 'what the axis does not show is said'


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(3, 12))
def test_ticks_are_few_round_and_inside(low, span, most):
    found = ticks(low, low + span, most)
    assert 1 <= len(found) <= most + 1
    assert found == sorted(set(found))
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in found)


def test_ticks_of_a_common_range():
    assert ticks(0, 10, 6) == [0, 2, 4, 6, 8, 10]


def test_on_logarithmic_axes_equal_ratios_are_equally_long():
    chart = Chart('c', 'x', 'y', lines=(Line([0.01, 0.1, 1.0], [1.0, 0.1, 0.01]),),
                  x_range=(0.01, 1.0), y_range=(0.01, 1.0), x_log=True, y_log=True)
    left, top, right, bottom = lay_out(chart).frame
    middle = f'{(left + right) / 2:.1f} {(top + bottom) / 2:.1f}'
    assert lay_out(chart).paths == [
        f'M{left:.1f} {top:.1f}L{middle}L{right:.1f} {bottom:.1f}']
    assert lay_out(chart).y_ticks[0] == (bottom, '0.01')


@pytest.mark.parametrize('limits', [None, (0.0, 1.0), (-1.0, 1.0)])
def test_a_logarithm_of_nothing_is_refused(limits):
    with pytest.raises(ValueError, match='logarithmic'):
        Chart('c', 'x', 'y', x_range=limits, x_log=True)


@settings(deadline=None)
@given(st.floats(1e-6, 1e3), st.floats(1.5, 1e9))
def test_logarithmic_ticks_are_round_and_inside(low, ratio):
    found = log_ticks(low, low * ratio)
    assert found == sorted(set(found))
    assert all(low * (1 - 1e-6) <= tick <= low * ratio * (1 + 1e-6) for tick in found)
    assert log_ticks(1e-3, 10.0, 13)[:4] == [0.001, 0.002, 0.005, 0.01]
    assert log_ticks(1e-2, 1.0, 3) == [0.01, 0.1, 1.0]
