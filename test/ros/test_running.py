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

"""How a managed node begins and ends, whatever happens meanwhile."""

from __future__ import annotations

from pathlib import Path
import signal
import sys

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from ros_peer import ros_peer

pytestmark = pytest.mark.ros

HEALTH = '/ped_detector/health'
NODE = [sys.executable, Path(__file__).parents[1] / 'support' / 'faulty_detector.py']
QUICK = ['--ros-args', '-p', 'self_test:=skip']
# A rclpy without the executor that costs least, as those before 2025.
OLDER = ("import runpy, sys; sys.modules['rclpy.experimental'] = None; sys.argv = sys.argv[1:]; "
         "sys.path.insert(0, sys.argv[0].rsplit('/', 1)[0]); "
         "runpy.run_path(sys.argv[0], run_name='__main__')")


def until_told(peer, text):
    """Wait until health says something."""
    peer.listen(DiagnosticStatus, HEALTH)
    peer.until(lambda: peer.received[HEALTH] and text in peer.received[HEALTH][-1].message, text)


def test_it_ends_although_a_manager_has_shut_it_down_before(ros_domain, processes, tmp_path):
    process = processes.start([*NODE, tmp_path / 'flag', *QUICK], name='detector')
    with ros_peer(ros_domain) as peer:
        until_told(peer, 'no picture has come yet')
        assert peer.call(ChangeState, '/ped_detector/change_state', ChangeState.Request(
            transition=Transition(id=Transition.TRANSITION_ACTIVE_SHUTDOWN))).success
        until_told(peer, 'the node is finalized')
    assert processes.interrupt(process) == 0
    assert 'Traceback' not in processes.output('detector')


@pytest.mark.parametrize('program', [[], ['-c', OLDER]], ids=['this rclpy', 'an older one'])
def test_whatever_executor_rclpy_has_it_is_refused_what_it_cannot_do_and_goes_on(
        ros_domain, processes, tmp_path, program):
    process = processes.start([NODE[0], *program, NODE[1], tmp_path / 'flag', *QUICK],
                              name='detector')
    with ros_peer(ros_domain) as peer:
        until_told(peer, 'no picture has come yet')
        client = peer.node.create_client(ChangeState, '/ped_detector/change_state')
        peer.until(client.service_is_ready, 'the service')
        # rclpy 7 does not answer such a request.
        client.call_async(ChangeState.Request(
            transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
        peer.until(lambda: 'Refused' in processes.output('detector'), 'the refusal')
        before = len(peer.received[HEALTH])
        peer.until(lambda: len(peer.received[HEALTH]) > before + 5, 'health after it')
    assert processes.interrupt(process) == 0
    assert 'Traceback' not in processes.output('detector')


@pytest.mark.parametrize('program', [[], ['-c', OLDER]], ids=['this rclpy', 'an older one'])
def test_a_request_of_nonsense_does_not_end_it(ros_domain, processes, tmp_path, program):
    process = processes.start([NODE[0], *program, NODE[1], tmp_path / 'flag', *QUICK],
                              name='detector')
    nonsense = Parameter(name='score_threshold', value=ParameterValue(type=200))
    with ros_peer(ros_domain) as peer:
        until_told(peer, 'no picture has come yet')
        client = peer.node.create_client(SetParameters, '/ped_detector/set_parameters')
        peer.until(client.service_is_ready, 'the service')
        client.call_async(SetParameters.Request(parameters=[nonsense]))
        peer.until(lambda: '200 is not a valid' in processes.output('detector'), 'the log')
        before = len(peer.received[HEALTH])
        peer.until(lambda: len(peer.received[HEALTH]) > before + 5, 'health after it')
        threshold = Parameter(name='score_threshold', value=ParameterValue(
            type=ParameterType.PARAMETER_DOUBLE, double_value=0.6))
        assert peer.call(SetParameters, '/ped_detector/set_parameters',
                         SetParameters.Request(parameters=[threshold])).results[0].successful
    assert processes.interrupt(process) == 0


def test_a_network_that_is_never_loaded_does_not_keep_the_process(
        ros_domain, processes, tmp_path):
    flag = tmp_path / 'flag'
    flag.write_text('loading hangs')
    process = processes.start([*NODE, flag, *QUICK], name='detector')
    with ros_peer(ros_domain) as peer:
        until_told(peer, 'loading the network')
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 1
    assert 'ended by force' in processes.output('detector')
    assert 'Traceback' not in processes.output('detector')


def test_asked_to_start_and_not_able_to_it_stays_and_says_why(ros_domain, processes, tmp_path):
    process = processes.start([*NODE, tmp_path / 'flag', *QUICK, '-p', 'autostart:=false', '-p',
                               "camera.image_topic:='my camera'"], name='detector')
    with ros_peer(ros_domain) as peer:
        def change(transition):
            return peer.call(ChangeState, '/ped_detector/change_state', ChangeState.Request(
                transition=Transition(id=transition))).success

        until_told(peer, 'the node is unconfigured; activate it')
        assert change(Transition.TRANSITION_CONFIGURE)
        assert not change(Transition.TRANSITION_ACTIVATE)
        until_told(peer, 'the node is inactive: cannot activate: Parameter camera.image_topic')
        assert change(Transition.TRANSITION_CLEANUP)
        until_told(peer, 'the node is unconfigured; activate it')
    assert processes.interrupt(process) == 0


def test_diagnostics_are_told_in_every_state(ros_domain, processes, tmp_path):
    processes.start([*NODE, tmp_path / 'flag', *QUICK, '-p', 'autostart:=false', '-p',
                     'diagnostics_period_s:=0.2', '-p', "camera.views:=['whole@0.5']"],
                    name='detector')
    with ros_peer(ros_domain) as peer:
        arrays = peer.received['/diagnostics']
        peer.listen(DiagnosticArray, '/diagnostics')

        def until_diagnosed(names, text):
            begin = len(arrays)
            peer.until(lambda: len(arrays) > begin and [
                status.name for status in arrays[-1].status] == [
                    f'ped_detector: {name}' for name in names]
                and text in arrays[-1].status[0].message, text)

        def change(transition):
            assert peer.call(ChangeState, '/ped_detector/change_state', ChangeState.Request(
                transition=Transition(id=transition))).success

        until_diagnosed(['health'], 'the node is unconfigured')
        assert arrays[-1].status[0].level == DiagnosticStatus.ERROR
        change(Transition.TRANSITION_CONFIGURE)
        loaded = ['health', 'inference', 'camera']
        until_diagnosed(loaded, 'the node is inactive')
        for _ in range(2):
            change(Transition.TRANSITION_ACTIVATE)
            until_diagnosed(loaded, 'no picture has come yet')
            assert {status.hardware_id for status in arrays[-1].status} == {'a test double'}
            values = {pair.key: pair.value for pair in arrays[-1].status[2].values}
            assert values['views'] == 'whole@0.5', 'those of the camera, not of all others'
            change(Transition.TRANSITION_DEACTIVATE)
            until_diagnosed(loaded, 'the node is inactive')
        change(Transition.TRANSITION_CLEANUP)
        until_diagnosed(['health'], 'the node is unconfigured')


@pytest.mark.parametrize(('node', 'told'), [('ped_detectr', True), ('ped_detector', False)])
def test_parameters_for_another_node_are_not_ignored_silently(
        ros_domain, processes, tmp_path, node, told):
    file = tmp_path / 'parameters.yaml'
    file.write_text(f'{node}:\n  ros__parameters:\n    score_threshold: 0.9\n    views: [whole]\n'
                    f'    camera:\n      views: []\n')
    process = processes.start([*NODE, tmp_path / 'flag', *QUICK[:1], '--params-file', file],
                              name='detector')
    with ros_peer(ros_domain) as peer:
        until_told(peer, 'no picture has come yet')
    assert ('is for this node' in processes.output('detector')) == told
    processes.interrupt(process)
