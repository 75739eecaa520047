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

"""The check of launch files finds planted faults, and nothing in the shipped files."""

from __future__ import annotations

import shutil

from ped_perception.cli.launch_check import main
from ped_perception.cli.launch_nodes import OWN_NODES
import pytest

NODE = ('<node pkg="ped_perception" exec="ped_detector" name="ped_detector">{}'
        '<param from="$(dirname)/my.yaml"/></node>')
CAMERA = '<node pkg="ped_perception" exec="ped_camera" name="ped_camera">{}</node>'
SHIPPED = '$(find-pkg-share ped_perception)/launch/detector.launch.xml'
OTHER = """<launch>
<arg name="needed" description="Name of the launch file to go on with."/>
<include file="$(dirname)/$(var needed).launch.xml"/>
</launch>
"""
GOOD = """/**:
  ros__parameters:
    cameras: [front]
    front: {priority: 2.0}
    score_threshold: 0.5
    tracker: {low_score: 0.1}
"""


def checked(folder, capsys, body, yaml=GOOD, *arguments):
    """Check a launch file made of some elements; give exit code and what was said."""
    file = folder / 'my.launch.xml'
    file.write_text(f'<launch>\n{body}\n</launch>\n')
    (folder / 'my.yaml').write_text(yaml)
    (folder / 'other.launch.xml').write_text(OTHER)
    code = main([str(file), *arguments])
    said = capsys.readouterr()
    return code, said.err + said.out


def test_the_shipped_files_are_clean(root, capsys):
    files = sorted(map(str, (root / 'launch').glob('*.launch.xml')))
    assert len(files) == 4
    code = main(files)
    said = capsys.readouterr()
    assert (code, said.err) == (0, '')
    assert 'nothing is wrong' in said.out


@pytest.mark.parametrize('arguments', [
    ['vehicle.launch.xml', 'cameras:=[front, rear]', 'model:=yolox_tiny', 'backend:=openvino'],
    ['detector.launch.xml', 'cameras:=[left, right]'],   # not the one of the file
    ['simulation.launch.xml', 'simulator:=carla', 'use_sim_time:=true'],
    ['replay.launch.xml', 'bag:=drive', 'player:=rosbag2', 'output:=results', 'loop:=true'],
])
def test_documented_arguments_are_accepted(root, capsys, arguments):
    assert main([str(root / 'launch' / arguments[0]), *arguments[1:]]) == 0


@pytest.mark.parametrize(('file', 'more'), [
    ('detector', []), ('vehicle', []), ('simulation', []), ('replay', ['bag:=drive'])])
def test_every_file_takes_the_same_arguments(root, capsys, file, more):
    assert main([
        str(root / 'launch' / f'{file}.launch.xml'), f'config:={root}/config/detector.yaml',
        'cameras:=[camera]', 'model:=nanodet_g', 'backend:=onnxruntime', 'namespace:=car',
        'use_sim_time:=false', 'log_level:=warn', 'allow_build:=false', *more]) == 0
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize(('argument', 'told'), [
    ('backend:=tensorflow', 'choose one of: auto, tensorrt'),
    ('cameras:=front', 'cameras must be of type string array'),   # no list
    ('allow_build:=maybe', 'allow_build must be of type bool'),
    ('use_sim_time:=yesterday', 'use_sim_time must be true or false'),
    ('cemeras:=[a]', 'no file declares the argument cemeras'),
    ('config:=/nowhere/my.yaml', 'the parameter file /nowhere/my.yaml does not exist'),
])
def test_arguments_reach_the_check_of_the_node(root, capsys, argument, told):
    assert main([str(root / 'launch' / 'vehicle.launch.xml'), argument]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize('body', [
    NODE.format(''),
    '<group><push_ros_namespace namespace="a"/>' + CAMERA.format('') + '</group>'
    + CAMERA.format(''),
    '<let name="fast" value="2.0"/>' + CAMERA.format('<param name="speed" value="$(var fast)"/>'),
    '<set_use_sim_time value="true"/>' + NODE.format('<env name="A" value="$(env A b)"/>'),
    # What does not happen may need what is not there.
    '<group if="false"><node pkg="nowhere" exec="none"/></group>',
])
def test_a_good_file_has_no_fault(tmp_path, capsys, body):
    code, said = checked(tmp_path, capsys, body)
    assert code == 0
    assert said == '1 launch file checked with all that it includes: nothing is wrong\n'


def test_what_is_not_followed_is_told(tmp_path, capsys):
    code, said = checked(tmp_path, capsys, '<timer period="3"><nodes/></timer>')
    assert code == 0
    assert 'my.launch.xml:2: <timer> is not checked' in said
    (tmp_path / 'other.launch.py').write_text('')
    code, said = checked(tmp_path, capsys, '<include file="$(dirname)/other.launch.py"/>')
    assert code == 0
    assert 'other.launch.py is no XML and is not checked' in said


@pytest.mark.parametrize(('body', 'told'), [
    (NODE.format('').replace('ped_detector"', 'ped_dectector"', 1), 'has no node ped_dectector'),
    ('<node pkg="ped_preception" exec="ped_detector"/>', 'ped_preception is not installed'),
    ('<node pkg="ros_gz_bridge" exec="parameter_brigde"/>', 'no executable parameter_brigde'),
    (NODE.format('').replace('exec=', 'executable='), 'no attribute executable'),
    (NODE.format('') + NODE.format(''), 'two nodes are named /ped_detector'),
    (NODE.format('<remap from="a" to="b"/><remap from="a" to="c"/>'), 'a is remapped twice'),
    (NODE.format('<param name="$(var model)" value="x"/>'), 'model is used but not declared'),
    (NODE.format('<parm name="model" value="x"/>'), '<parm> has no meaning in <node>'),
    (NODE.format('').replace('my.yaml', 'your.yaml'), 'your.yaml does not exist'),
    (CAMERA.format('<param name="speed" value="1000"/>'), 'it must lie between 0.01 and 100'),
    (CAMERA.format('<param name="spead" value="1"/>'), 'Did you mean speed?'),
    # The value is known to the running launch only, the name is not.
    (CAMERA.format('<param name="spead" value="$(env SPEED)"/>'), 'Did you mean speed?'),
    (CAMERA.format('<param name="loop" value="often"/>'), 'loop must be of type bool'),
    ('<arg name="a" default="1"/>', 'the argument a has no description'),
    ('<arg name="a" description="of it"/>\n<arg name="a" description="of it"/>', 'declared twice'),
    ('<include file="$(dirname)/your.launch.xml"/>', 'your.launch.xml does not exist'),
    ('<include file="$(dirname)/my.launch.xml"/>', 'includes itself'),
    ('<include file="$(dirname)/other.launch.xml"><arg name="needed" value="my"/></include>',
     'my.launch.xml includes itself'),
    (f'<include file="{SHIPPED}"><arg name="modle" value="x"/></include>',
     'declares no argument modle. Did you mean model?'),
    ('<group if="$(eval \'&quot;a&quot; == &quot;a&quot;\')">' + CAMERA.format(
        '<param name="size" value="1"/>') + '</group>', 'size must be of type string'),
    ('<group if="perhaps"/>', 'neither true nor false'),
    ('<log message="$(vra model)"/>', 'there is no substitution $(vra)'),
    # Launch reads no condition there: it would hold always.
    (CAMERA.format('<param name="loop" value="true" if="false"/>'), '<param> has no attribute if'),
    (CAMERA.format('<param name="loop"/>'), '<param> needs name and value'),
    (CAMERA.format('<param name="a"><param name="b" value="1"/></param>'), 'no parameter a.b'),
    (CAMERA.format('').replace('exec=', 'respawn="often" exec='), "respawn is 'often'"),
    ('<include file="$(dirname)/other.launch.xml"/>', 'without its argument needed'),
    (f'<include file="{SHIPPED}"><arg name="log_level" value="loud"/></include>',
     "log_level is 'loud'; choose one of debug"),
    (f'<include file="{SHIPPED}"><arg name="model"/></include>', 'needs the attribute value'),
    ('<set_use_sim_time value="often"/>' + CAMERA.format(''), 'use_sim_time must be true'),
    ('<group><push_ros_namespace namespace="a"/>' + CAMERA.format('') + '</group>'
     + CAMERA.format('').replace('exec=', 'namespace="a" exec='), 'two nodes are named /a/'),
    ('<log message="$(optenv HOME)"/>', 'there is no substitution $(optenv)'),   # of ROS 1
    ('<log message="$(dir-name)"/>', 'Did you mean $(dirname)?'),
    ('<nodes/>', '<nodes> has no meaning here. Did you mean <node>?'),
    ('<node', 'is no XML'),
])
def test_planted_faults_are_found(tmp_path, capsys, body, told):
    code, said = checked(tmp_path, capsys, body)
    assert code == 1
    assert told in said


@pytest.mark.parametrize(('old', 'new', 'told'), [
    ('score_threshold', 'score_treshold', 'Did you mean score_threshold?'),
    ('0.5', '1.5', 'it must lie between'),
    ('0.5', 'high', 'score_threshold must be of type double'),
    ('low_score', 'lo_score', 'Did you mean tracker.low_score?'),
    ('front: {', 'rear: {', 'There is no parameter rear.priority'),   # of no camera
    ('priority', 'views', 'views must be of type string array'),
    ('score_threshold: 0.5', 'views: [whole, hole]', 'hole'),         # fits no grammar
    ('/**', '/camera', 'has nothing for the node ped_detector'),
    ('ros__parameters', 'ros_parameters', 'no "ros__parameters:"'),
    ('{', '[', 'is no YAML'),
])
def test_planted_faults_of_parameter_files_are_found(tmp_path, capsys, old, new, told):
    assert old in GOOD
    code, said = checked(tmp_path, capsys, NODE.format(''), GOOD.replace(old, new, 1))
    assert code == 1
    assert told in said


def test_all_faults_are_told_at_once_and_where_they_are(tmp_path, capsys):
    code, said = checked(tmp_path, capsys, '<nodes/>\n' + CAMERA.format(
        '<param name="speed" value="0"/><param name="loop" value="3"/>'))
    assert code == 1
    assert 'my.launch.xml:2:' in said
    assert 'my.launch.xml:3:' in said
    assert '3 faults' in said


def test_what_cannot_happen_is_not_checked(tmp_path, capsys):
    body = ('<arg name="which" default="a" description="one"/>'
            '<group unless="$(eval \'&quot;$(var which)&quot; == &quot;a&quot;\')">'
            '<node pkg="nowhere" exec="nothing"/></group>')
    assert checked(tmp_path, capsys, body)[0] == 0
    assert checked(tmp_path, capsys, body, GOOD, 'which:=b')[0] == 1


def test_every_choice_is_checked(tmp_path, capsys):
    body = ('<arg name="which" default="a" description="one"><choice value="a"/>'
            '<choice value="b"/></arg>\n<include file="$(dirname)/$(var which).launch.xml"/>')
    (tmp_path / 'a.launch.xml').write_text('<launch/>')
    code, said = checked(tmp_path, capsys, body)
    assert code == 1
    assert 'b.launch.xml does not exist' in said
    assert 'a.launch.xml' not in said


def test_entities_are_refused(tmp_path, capsys):
    file = tmp_path / 'bomb.launch.xml'
    file.write_text('<!DOCTYPE launch [<!ENTITY a "aaaa">]>\n<launch/>')
    assert main([str(file)]) == 1
    assert 'document type' in capsys.readouterr().err


@pytest.mark.parametrize('encoding', ['no-such', 'shift_jis'])
def test_an_encoding_that_the_parser_does_not_take_is_told(tmp_path, capsys, encoding):
    file = tmp_path / 'my.launch.xml'
    file.write_text(f'<?xml version="1.0" encoding="{encoding}"?>\n<launch/>')
    assert main([str(file)]) == 1
    assert 'my.launch.xml is no XML' in capsys.readouterr().err


def test_the_nodes_that_the_check_knows_are_installed(root):
    programs = (root / 'setup.py').read_text()
    for executable in OWN_NODES:
        assert f"'{executable} = " in programs


def test_a_copy_elsewhere_is_checked_too(root, tmp_path, capsys):
    shutil.copy(root / 'launch' / 'vehicle.launch.xml', tmp_path / 'mine.launch.xml')
    assert main([str(tmp_path / 'mine.launch.xml')]) == 0
