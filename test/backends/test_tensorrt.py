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

"""
The TensorRT backend on the recording doubles of CUDA and TensorRT.

What the numbers are is for the contract suite; this is about memory, order, threads and failures.
"""

from __future__ import annotations

import sys
import threading

from letterbox_on_cpu import compiler_problem, cpu_kernels
import numpy as np
from ped_perception.backends import plan_io
from ped_perception.backends import tensorrt as backend_module
from ped_perception.backends.gpu_letterbox import KERNELS
from ped_perception.core.errors import BackendError, EngineMismatchError, MissingExtraError
from ped_perception.core.native import NATIVE_LAYOUTS, NativePixels
from ped_perception.core.views import place_view, ViewSpec
import pytest
from recorded_gpu import GPU, Machine, recorded_gpu, TINY_HW, write_double_plan
from recording_cuda import Error, LaunchError, LogicError, RuleBroken
import recording_tensorrt

INFERENCE = ['memcpy_htod_async', 'execute_async_v3', 'memcpy_dtoh_async', 'memcpy_dtoh_async',
             'record', 'event_synchronize']


@pytest.fixture
def machine(tmp_path):
    """Give a machine with a recorded GPU, and see that it is left as it was found."""
    with recorded_gpu() as (cuda, trt):
        machine = Machine(cuda, trt, tmp_path)
        yield machine
        machine.check_empty()


def grey(backend, *levels):
    """Fill the first slots, each with one grey level."""
    for slot, level in enumerate(levels):
        backend.batch_nhw3[slot] = level


def scores(backend, count):
    return backend.infer(count).scores_nk[:, 0].tolist()


# --- running ------------------------------------------------------------------------------------

def test_each_slot_gets_its_own_answer(machine):
    with machine.load() as backend:
        grey(backend, 10, 200, 77)
        found = backend.infer(3)
        assert found.scores_nk.tolist() == [[10], [200], [77]]
        assert found.boxes_nk4[1].tolist() == [[200] * 4]
        assert scores(backend, 1) == [10]


def test_an_inference_queues_everything_and_waits_once(machine):
    with machine.load() as backend:
        taken = len(machine.ledger.taken)
        for count in (3, 1, 2):
            machine.ledger.calls.clear()
            backend.infer(count)
            assert machine.ledger.calls == INFERENCE
        assert len(machine.ledger.taken) == taken, 'something was allocated for a frame'


def test_only_the_slots_used_cross_the_bus(machine, monkeypatch):
    sizes = []
    with machine.load() as backend:
        copy = machine.cuda.memcpy_htod_async
        monkeypatch.setattr(machine.cuda, 'memcpy_htod_async', lambda dest, src, stream: (
            sizes.append(len(src)), copy(dest, src, stream)))
        backend.infer(1)
        backend.infer(3)
    assert sizes == [1, 3]


def test_results_outlive_the_backend(machine):
    with machine.load() as backend:
        grey(backend, 50)
        found = backend.infer(1)
    assert found.scores_nk.tolist() == [[50]]


def test_it_says_what_it_runs_on(machine):
    with machine.load() as backend:
        info = backend.info
    assert (info.backend, info.precision, info.network_hw, info.max_batch, info.top_k) == (
        'tensorrt', 'fp32', TINY_HW, 3, 1)
    for part in ('Recorded GPU (sm_87)', 'tensorrt 10.3.0', '12 MiB for activations', '8192 MiB'):
        assert part in info.device


def test_a_plan_that_takes_no_small_batch_is_filled_up(machine):
    plan = write_double_plan(machine.folder, machine.graph, minimum=4, maximum=4)
    with machine.load(max_batch=2, plan=plan) as backend:
        assert backend.batch_nhw3.shape == (2, *TINY_HW, 3)
        grey(backend, 9, 8)
        assert scores(backend, 1) == [9]
        assert scores(backend, 2) == [9, 8]


# --- opening and closing ------------------------------------------------------------------------

@pytest.mark.parametrize('preprocess', ['cpu', 'gpu'])
def test_everything_is_freed_in_reverse_order_the_context_last(tmp_path, preprocess):
    kernels = dict.fromkeys(KERNELS.values(), lambda grid, block, arguments: None)
    with recorded_gpu(kernels) as (cuda, trt):
        machine = Machine(cuda, trt, tmp_path)
        backend = machine.load(preprocess=preprocess)
        backend.infer(2)
        backend.close()
        assert machine.ledger.released == machine.ledger.taken[::-1]
        assert machine.ledger.taken[0] == 'context'
        machine.check_empty()


def test_closing_twice_is_harmless_also_from_elsewhere(machine):
    backend = machine.load()
    backend.close()
    backend.close()
    assert in_a_thread(backend.close) is None
    with pytest.raises(BackendError, match='closed'):
        backend.infer(1)
    with pytest.raises(BackendError, match='closed'):
        _ = backend.batch_nhw3


def test_a_batch_buffer_that_somebody_keeps_stays_readable(machine):
    backend = machine.load()
    kept = backend.batch_nhw3
    kept[:] = 3
    backend.close()
    assert machine.ledger.live
    assert np.all(kept == 3)
    del kept
    machine.check_empty()


def test_a_failure_at_any_moment_of_opening_frees_what_was_allocated(machine):
    machine.load().close()
    calls = machine.ledger.calls.index('mem_get_info') + 1
    assert calls > 10
    for number in range(1, calls + 1):
        machine.ledger.calls.clear()
        machine.ledger.fail_at = number
        with pytest.raises(BackendError, match='out of memory') as caught:
            machine.load()
        machine.ledger.fail_at = None
        # While the error is still held: it must not keep anything alive.
        machine.ledger.check_empty()
        assert str(GPU) in str(caught.value)
    machine.load().close()


@pytest.mark.parametrize('refusal', ['execution', 'address'])
def test_what_tensorrt_refuses_when_opening_is_said_and_freed(machine, refusal):
    machine.trt.refusals.add(refusal)
    with pytest.raises(BackendError, match=f'told to refuse: {refusal}'):
        machine.load()
    machine.ledger.check_empty()


def test_bytes_that_are_no_plan_are_refused_with_tensorrts_words(machine):
    plan = write_double_plan(machine.folder, machine.graph, data=b'something else')
    with pytest.raises(BackendError, match='magic tag'):
        machine.load(plan=plan)


def test_an_engine_that_is_no_typed_graph_is_refused(machine, monkeypatch):
    monkeypatch.setattr(backend_module, 'io_of_engine', lambda trt, engine: ({}, {}))
    with pytest.raises(BackendError, match='not a typed graph'):
        machine.load()


# --- what may be opened -------------------------------------------------------------------------

@pytest.mark.parametrize(('changes', 'fragment', 'why'), [
    ({'gpu': 'Another GPU'}, 'Another GPU', 'kernels were timed on another card'),
    ({'capabilities': ('sm_86',)}, 'sm_8', 'its code does not run here'),
    ({'flavor_version': '10.7.0'}, '10.7.0', 'plans belong to one version'),
])
def test_a_foreign_plan_never_reaches_tensorrt(machine, changes, fragment, why):
    plan = write_double_plan(machine.folder, machine.graph, **changes)
    with pytest.raises(EngineMismatchError, match='ped_engine build') as caught:
        machine.load(plan=plan)
    assert fragment in str(caught.value), why
    assert not machine.ledger.calls


def test_a_flipped_byte_never_reaches_tensorrt(machine):
    data = bytearray(machine.plan.read_bytes())
    data[100] ^= 1
    machine.plan.write_bytes(data)
    with pytest.raises(EngineMismatchError, match='damaged'):
        machine.load()
    assert not machine.ledger.calls


def test_a_precision_that_the_plan_has_not_is_refused(machine):
    machine.load(precision='fp32').close()
    with pytest.raises(EngineMismatchError, match='computes in fp32'):
        machine.load(precision='fp16')


def test_more_slots_than_the_plan_takes_are_refused_with_the_command(machine):
    machine.load(max_batch=8).close()
    with pytest.raises(EngineMismatchError, match='--batch 1,9,9'):
        machine.load(max_batch=9)
    machine.ledger.check_empty()
    with pytest.raises(BackendError, match='at least one slot'):
        machine.load(max_batch=0)


def test_no_gpu_is_said(machine, monkeypatch):
    with pytest.raises(BackendError, match='index 1'):
        machine.load(device=1)
    monkeypatch.setattr(plan_io, 'find_gpu', lambda index: None)
    with pytest.raises(BackendError, match='no driver'):
        machine.load()


def test_a_tensorrt_that_does_not_start_leaves_nothing_behind(machine, monkeypatch):
    def runtime(log):
        raise TypeError('pybind11::init(): factory function returned nullptr')

    monkeypatch.setattr(machine.trt, 'Runtime', runtime)
    with pytest.raises(BackendError, match=r'does not start.*driver is older'):
        machine.load()
    machine.check_empty()


@pytest.mark.parametrize('module', ['tensorrt', 'pycuda.driver'])
def test_a_missing_package_names_its_extra(machine, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r'ped_perception\[tensorrt\]'):
        machine.load()


# --- failing ------------------------------------------------------------------------------------

@pytest.mark.parametrize('refusal', ['shape', 'execute'])
def test_an_inference_that_tensorrt_refuses_leaves_it_usable(machine, refusal):
    with machine.load() as backend:
        grey(backend, 60)
        machine.trt.refusals.add(refusal)
        with pytest.raises(BackendError, match=f'told to refuse: {refusal}.*stays usable'):
            backend.infer(1)
        assert scores(backend, 1) == [60]


@pytest.mark.parametrize('call', sorted(set(INFERENCE)))
def test_an_error_of_cuda_that_passes_leaves_it_usable(machine, call):
    with machine.load() as backend:
        grey(backend, 60)
        machine.ledger.failures[call] = LogicError(f'{call} failed: invalid argument')
        with pytest.raises(BackendError, match=r'invalid argument.*stays usable'):
            backend.infer(1)
        grey(backend, 61)
        assert scores(backend, 1) == [61]


def test_an_error_of_cuda_that_stays_is_said_from_then_on(machine):
    with machine.load() as backend:
        machine.ledger.failures['event_synchronize'] = LaunchError('unspecified launch failure')
        with pytest.raises(BackendError, match=r'unspecified launch failure.*restart'):
            backend.infer(1)
        machine.ledger.calls.clear()
        with pytest.raises(BackendError, match=r'cannot be used.*unspecified launch failure'):
            backend.infer(1)
        assert not machine.ledger.calls, 'CUDA was asked once more'


# --- threads ------------------------------------------------------------------------------------

def in_a_thread(action, *arguments):
    """Call in another thread; give the exception, None if there was none."""
    raised = []

    def run():
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001 - handed to the test's thread
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return raised[0] if raised else None


def test_another_thread_is_sent_away_and_does_no_harm(machine):
    with machine.load() as backend:
        grey(backend, 5)
        for action in (lambda: backend.infer(1), backend.close):
            error = in_a_thread(action)
            assert isinstance(error, BackendError)
            assert 'thread that opened it' in str(error)
        assert scores(backend, 1) == [5]


def test_two_backends_live_in_two_threads(machine):
    def work():
        with machine.load() as backend:
            grey(backend, 7)
            assert scores(backend, 1) == [7]

    with machine.load() as backend:
        grey(backend, 5)
        assert in_a_thread(work) is None
        assert scores(backend, 1) == [5]


# --- the letterbox on the GPU -------------------------------------------------------------------

@pytest.fixture(scope='module')
def kernels():
    """Compile the kernels for the CPU."""
    if compiler_problem():
        pytest.skip(compiler_problem())
    return cpu_kernels()


@pytest.fixture
def gpu_machine(tmp_path, kernels):
    """Give a machine whose GPU has the letterbox."""
    with recorded_gpu(kernels) as (cuda, trt):
        machine = Machine(cuda, trt, tmp_path)
        yield machine
        machine.check_empty()


def picture(level, height=31, width=43):
    return np.full((height, width, 3), level, np.uint8)


def full_view(height=31, width=43):
    """Place a view that fills the slot: the crop has its aspect ratio."""
    return place_view(ViewSpec(), (height, width), TINY_HW)


def test_slots_filled_on_either_side_meet_in_one_batch(gpu_machine):
    crop = place_view(ViewSpec(), (12, 20), TINY_HW)
    with gpu_machine.load(max_batch=4, preprocess='gpu') as backend:
        grey(backend, 1, 2, 3, 4)
        backend.fill(1, picture(100, 12, 20), crop)
        backend.fill(3, picture(120, 12, 20), crop)
        assert scores(backend, 4) == [1, 100, 3, 120]
        # Each fill counts for one inference.
        assert scores(backend, 4) == [1, 2, 3, 4]


def test_the_same_candidates_with_either_letterbox(gpu_machine):
    image_hw3 = np.random.default_rng(1).integers(0, 256, (60, 47, 3), np.uint8)[:, 2:41]
    view = place_view(ViewSpec((0.2, 0.1, 0.9, 0.8), 0.8), (60, 39), TINY_HW)
    found = {}
    for preprocess in ('cpu', 'gpu'):
        with gpu_machine.load(preprocess=preprocess) as backend:
            backend.fill(2, image_hw3, view)
            found[preprocess] = backend.infer(3).scores_nk[2, 0]
    assert abs(found['cpu'] - found['gpu']) < 1


def native_grey(layout, luma, height=30, width=44, padding=4):
    """Give a grey picture in a layout of cameras, its padding of another grey."""
    rows = np.full((height * 3 // 2, width + padding) if layout == 'nv12'
                   else (height, 2 * width + padding), 128, np.uint8)
    rows[:height, {'nv12': slice(0, width), 'yuyv': slice(0, 2 * width, 2),
                   'uyvy': slice(1, 2 * width, 2)}[layout]] = luma
    return NativePixels(layout, rows, (height, width))


@pytest.mark.parametrize('layout', sorted(set(NATIVE_LAYOUTS.values())))
def test_a_picture_in_the_cameras_layout_is_uploaded_once_and_not_decoded(gpu_machine, layout):
    pictures = native_grey(layout, 81), native_grey(layout, 200, 60, 40)
    views = [place_view(ViewSpec((0.0, 0.2, 1.0, 0.6)), pixels.size_hw, TINY_HW)
             for pixels in pictures]
    with gpu_machine.load(max_batch=4, preprocess='gpu') as backend:
        assert layout in backend.native_layouts
        for _ in range(2):      # anew for each inference: nothing of a picture is kept
            gpu_machine.ledger.calls.clear()
            for slot, index in enumerate((0, 0, 1)):
                backend.fill(slot, pictures[index], views[index])
            backend.fill(3, picture(90, 12, 20), place_view(ViewSpec(), (12, 20), TINY_HW))
            assert gpu_machine.ledger.calls.count('memcpy_htod_async') == 3
            found = scores(backend, 4)
            assert found[0] == found[1] != found[2]
            assert found[3] == 90
    assert not any('image_hw3' in vars(pixels) for pixels in pictures), 'it was decoded'
    with gpu_machine.load(preprocess='cpu') as backend:
        assert not backend.native_layouts
        for slot, (pixels, view) in enumerate(zip(pictures, views, strict=True)):
            backend.fill(slot, pixels, view)
        assert np.allclose(scores(backend, 2), [found[0], found[2]], atol=1)


def test_a_picture_whose_upload_failed_is_uploaded_anew(gpu_machine):
    pixels = native_grey('nv12', 200)
    view = place_view(ViewSpec(), pixels.size_hw, TINY_HW)
    with gpu_machine.load(preprocess='gpu') as backend:
        backend.fill(0, pixels, view)
        expected = scores(backend, 1)
        gpu_machine.ledger.failures['memcpy_htod_async'] = LogicError('invalid argument')
        with pytest.raises(BackendError, match='stays usable'):
            backend.fill(0, pixels, view)
        backend.fill(0, pixels, view)
        assert scores(backend, 1) == expected


def test_pictures_of_a_size_seen_before_allocate_nothing(gpu_machine):
    with gpu_machine.load(preprocess='gpu') as backend:
        backend.fill(0, picture(10), full_view())
        taken = len(gpu_machine.ledger.taken)
        backend.fill(1, picture(20), full_view())
        backend.fill(2, picture(30, 20, 30), full_view(20, 30))
        assert len(gpu_machine.ledger.taken) == taken
        backend.fill(2, picture(40, 62, 86), full_view(62, 86))
        assert len(gpu_machine.ledger.taken) == taken + 2
        assert len(set(scores(backend, 3))) == 3
    gpu_machine.ledger.check_empty()


def test_a_slot_outside_the_batch_is_refused(gpu_machine):
    with gpu_machine.load(preprocess='gpu') as backend:
        for slot in (-1, 3):
            with pytest.raises(BackendError, match='1 to 3'):
                backend.fill(slot, picture(1), full_view())
        assert 'thread' in str(in_a_thread(backend.fill, 0, picture(1), full_view()))


def test_a_letterbox_that_fails_leaves_it_usable(gpu_machine):
    with gpu_machine.load(preprocess='gpu') as backend:
        grey(backend, 7)
        backend.fill(0, picture(200), full_view())
        gpu_machine.ledger.failures['launch'] = LogicError('launch failed: invalid argument')
        with pytest.raises(BackendError, match=r'letterbox failed on slot 1.*stays usable'):
            backend.fill(1, picture(90), full_view())
        assert scores(backend, 1) == [7]


# --- the double itself: every rule, broken ------------------------------------------------------

def forgets_to_wait(machine, patch):
    patch.setattr('recording_cuda.Event.synchronize', lambda event: None)


def forgets_page_locking(machine, patch):
    patch.setattr(machine.cuda, 'pagelocked_empty', np.zeros)


def forgets_the_shape(machine, patch):
    patch.setattr('recording_tensorrt._Execution.set_input_shape', lambda *_: True)


def forgets_an_address(machine, patch):
    patch.setattr('recording_tensorrt._Execution.set_tensor_address', lambda *_: True)


def allocates_too_little(machine, patch):
    allocate = machine.cuda.mem_alloc
    patch.setattr(machine.cuda, 'mem_alloc', lambda size: allocate(size - 1))


def misnames_a_tensor(machine, patch):
    patch.setattr(backend_module, 'INPUT', 'image')
    patch.setattr(backend_module, 'check_count', lambda *_: None)


def frees_before_use(machine, patch):
    take = backend_module.Held.take_memory

    def freeing(self, name, drv, size):
        address = take(self, name, drv, size)
        self[name].free()
        return address

    patch.setattr(backend_module.Held, 'take_memory', freeing)


def frees_twice(machine, patch):
    patch.setattr('recording_cuda.Memory.__int__', lambda memory: memory.free() or memory.address)


def frees_the_context_first(machine, patch):
    patch.setattr('ped_perception.backends.held.reversed', lambda things: iter(list(things)),
                  raising=False)


def frees_nothing(machine, patch):
    patch.setattr(backend_module.Held, 'release_all', lambda held: held._things.clear())


def run_twice(machine):
    """Do what a node does, whole batches."""
    with machine.load() as backend:
        backend.infer(3)
        backend.infer(3)
    machine.check_empty()


@pytest.mark.parametrize(('mistake', 'rule'), [
    (forgets_to_wait, 'nobody waited'),
    (forgets_page_locking, 'not page-locked'),
    (forgets_the_shape, 'input shape is not set'),
    (forgets_an_address, 'is not set'),
    (allocates_too_little, 'beyond an allocation'),
    (misnames_a_tensor, "no tensor 'image'"),
    (frees_before_use, 'it was freed'),
    (frees_twice, 'freed twice'),
    (frees_the_context_first, 'the context goes before'),
    (frees_nothing, 'still pushed'),
])
def test_the_double_notices(tmp_path, monkeypatch, mistake, rule):
    with recorded_gpu() as (cuda, trt):
        machine = Machine(cuda, trt, tmp_path)
        mistake(machine, monkeypatch)
        with pytest.raises(AssertionError) as caught:
            run_twice(machine)
        # Closing after the first mistake breaks further rules.
        assert rule in (machine.ledger.broken or [str(caught.value)])[0]


def test_the_double_gives_garbage_to_who_does_not_wait(machine, monkeypatch):
    with machine.load() as backend:
        grey(backend, 60)
        with monkeypatch.context() as patch:
            forgets_to_wait(machine, patch)
            assert np.isnan(backend.infer(1).scores_nk).all()


@pytest.mark.parametrize('call', [
    lambda cuda: cuda.Stream(), lambda cuda: cuda.mem_alloc(8), lambda cuda: cuda.mem_get_info(),
    lambda cuda: cuda.pagelocked_empty(3, np.uint8)])
def test_the_double_wants_a_context_in_this_thread(machine, call):
    with pytest.raises(Error, match='invalid device context'):
        call(machine.cuda)
    with machine.load():
        assert 'invalid device context' in str(in_a_thread(call, machine.cuda))


def test_the_double_notices_a_kernel_that_writes_too_far(machine):
    def far(grid, block, arguments):
        target = machine.ledger.memory[arguments[0]]
        target._whole[-1] = 0

    machine.cuda._kernels['far'] = far
    context = machine.cuda.retain_primary_context()
    context.push()
    stream, memory = machine.cuda.Stream(), machine.cuda.mem_alloc(16)
    module = machine.cuda.module_from_file('x')
    kernel = module.get_function('far')
    kernel.prepare('P')
    kernel.prepared_async_call((1, 1), (1, 1, 1), stream, int(memory))
    stream.synchronize()
    memory.free()
    assert machine.ledger.broken.pop() == 'a kernel wrote beside an allocation'
    del stream, memory, module, kernel
    context.pop()
    del context


@pytest.mark.parametrize(('double', 'real'), [
    (recording_tensorrt._Runtime, 'Runtime'), (recording_tensorrt._Engine, 'ICudaEngine'),
    (recording_tensorrt._Execution, 'IExecutionContext')])
def test_the_double_offers_nothing_that_tensorrt_lacks(double, real):
    """Hold the double's names against real bindings: it must not invent a method."""
    bindings = pytest.importorskip('tensorrt_rtx_bindings')
    own = {name for name in vars(double) if not name.startswith('_')} - {'kind'}
    assert own
    assert own <= set(dir(getattr(bindings, real)))


def test_a_broken_rule_is_no_error_of_cuda():
    assert not issubclass(RuleBroken, (Error, BackendError))
