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

"""Boxes at the border of the picture: who is cut off, and how wide he is."""

from __future__ import annotations

import numpy as np
from ped_perception.core.border import Cuts, whole_boxes
import pytest

HW = (200, 320)


@pytest.mark.parametrize(('why', 'box', 'cut', 'whole'), [
    ('inside', [50, 50, 80, 150], '', [50, 50, 80, 150]),
    ('comes in from the left', [0, 50, 10, 150], 'left', [-31, 50, 10, 150]),
    ('comes in from the right', [310, 50, 320, 150], 'right', [310, 50, 351, 150]),
    ('detectors round', [309, 50, 318.5, 150], 'right', [309, 50, 350, 150]),
    ('wider than people are although cut off: arms', [0, 50, 60, 150], 'left', [0, 50, 60, 150]),
    ('between both borders: nobody knows the middle', [0, 0, 320, 200],
     'left top right bottom', [0, 0, 320, 200]),
    ('the head is cut off: the height is not that of the person, the width is', [50, 0, 80, 90],
     'top', [50, 0, 80, 90]),
    ('a tracker knows more than the picture', [-31, 50, 10, 150], 'left', [-31, 50, 10, 150]),
])
def test_people_at_the_border_have_the_width_of_people(why, box, cut, whole):
    boxes_t4 = np.array([box], np.float32)
    cuts = Cuts.of(boxes_t4, HW)
    assert {name for name in ('left', 'top', 'right', 'bottom')
            if getattr(cuts, f'{name}_t')[0]} == set(cut.split()), why
    before_t4 = boxes_t4.copy()
    np.testing.assert_allclose(whole_boxes(boxes_t4, cuts), [whole], atol=1e-4, err_msg=why)
    np.testing.assert_array_equal(boxes_t4, before_t4, 'the boxes handed in stay as they are')
