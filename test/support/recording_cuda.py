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
A test double of ``pycuda.driver`` that keeps a ledger and enforces the rules of CUDA.

It is no GPU: memory of the "device" is host memory, and what is queued in a stream happens when
somebody waits for the stream, not before, so that a missing wait shows. Addresses are real ones,
with guard bytes around every allocation, so that kernels compiled for the CPU can run on them.

What CUDA reports as an error is raised as an error of CUDA; what CUDA leaves to crash or to
garbage is a :class:`RuleBroken`, which no product code catches, and is kept in
``Ledger.broken`` besides. Objects are freed as in pycuda: by ``free`` or with the last reference.
"""

from __future__ import annotations

import threading
import weakref

import numpy as np

GUARD = 64
GUARD_BYTE = 0xA5
POISON = 0xFF       # NaN as float32: nobody mistakes it for a result


class RuleBroken(AssertionError):
    """The program did what crashes a real runtime or gives garbage."""


class Error(Exception):
    """Base of pycuda's errors."""


class LogicError(Error):
    """An argument, handle or context is wrong."""


class MemoryError(Error):  # noqa: A001 - pycuda calls it so
    """Out of GPU memory."""


class LaunchError(Error):
    """A kernel failed."""


class RuntimeError(Error):  # noqa: A001 - pycuda calls it so
    """No device, no binary for it, and the like."""


class Ledger:
    """
    Who holds what, in which thread which context is current, and what went wrong.

    Attributes:
        live: id → kind of what is allocated, in the order of allocation.
        taken, released: kinds, in order.
        calls: names of the calls, in order.
        broken: rules that were broken.
        fail_at: number of the call that fails, None for none.
        sticky: CUDA refuses everything from now on, as after an illegal address.
        failures: name of a call → error that its next call raises; LaunchError is sticky.
    """

    def __init__(self):
        self.live = {}
        self.owners = {}        # id → id of the context
        self.taken = []
        self.released = []
        self.calls = []
        self.broken = []
        self.fail_at = None
        self.sticky = False
        self.failures = {}
        self.current = {}       # thread → stack of contexts
        self.memory = {}        # address → Memory
        self.host = {}          # address → size
        self.streams = {}       # handle → Stream
        self._next = 1

    def breaks(self, rule):
        """Record a broken rule and raise it."""
        self.broken.append(rule)
        raise RuleBroken(rule)

    def take(self, kind, context=None):
        """Record an allocation and give its id."""
        number = self._next
        self._next += 1
        self.live[number] = kind
        self.owners[number] = context
        self.taken.append(kind)
        return number

    def release(self, number):
        """Record that something is freed."""
        self.released.append(self.live.pop(number))

    def call(self, name):
        """Account for a call of the driver: it may be made to fail, and needs a context."""
        self.calls.append(name)
        if self.sticky:
            raise LogicError(f'{name} failed: an illegal memory access was encountered')
        if name in self.failures:
            error = self.failures.pop(name)
            # A kernel that failed takes the context of the whole process with it.
            self.sticky = isinstance(error, LaunchError)
            raise error
        if self.fail_at is not None and len(self.calls) == self.fail_at:
            raise MemoryError(f'{name} failed: out of memory')

    def context(self, name):
        """Account for a call that needs a current context; give it."""
        self.call(name)
        stack = self.current.get(threading.get_ident())
        if not stack:
            raise LogicError(f'{name} failed: invalid device context')
        return stack[-1]

    def find(self, address, size, what):
        """Give the bytes of device memory at an address."""
        for memory in self.memory.values():
            offset = address - memory.address
            if 0 <= offset < memory.size:
                if offset + size > memory.size:
                    self.breaks(f'{what}: {size} bytes reach {offset + size - memory.size} '
                                f'beyond an allocation of {memory.size}')
                return memory.bytes[offset:offset + size]
        return self.breaks(f'{what}: {address:#x} is no device memory, or it was freed')

    def check_page_locked(self, array, what):
        """See that an array lies in page-locked memory."""
        start = array.__array_interface__['data'][0]
        if not any(first <= start and start + array.nbytes <= first + size
                   for first, size in self.host.items()):
            self.breaks(f'{what}: the host buffer is not page-locked')

    def check_empty(self):
        """See that nothing is left; to be called at the end of a test."""
        assert not self.broken, self.broken
        assert not self.live, f'leaked: {list(self.live.values())}'
        assert not any(self.current.values()), 'a context is still pushed in a thread'


class Context:
    """The primary context of the device, retained once."""

    def __init__(self, ledger):
        self._ledger = ledger
        self._id = ledger.take('context')

    def push(self):
        """Make it current in this thread."""
        self._ledger.call('push')
        # The stack holds no reference: pycuda's does, but only until pop.
        self._ledger.current.setdefault(threading.get_ident(), []).append(self._id)

    def pop(self):
        """Take it off this thread."""
        stack = self._ledger.current.get(threading.get_ident(), [])
        if not stack or stack[-1] != self._id:
            raise LogicError('cannot pop non-current context')
        left = [kind for number, kind in self._ledger.live.items()
                if kind != 'page-locked' and self._ledger.owners[number] == self._id]
        if left:
            self._ledger.breaks(f'the context goes before {", ".join(left)}')
        stack.pop()

    def __del__(self):
        """Release the retained context."""
        self._ledger.release(self._id)


class Resource:
    """Something of a context that is freed with its last reference."""

    kind = ''

    def __init__(self, ledger):
        self._ledger = ledger
        self._context = ledger.context(self.kind)
        self._id = ledger.take(self.kind, self._context)

    def check(self, name):
        """Account for a use: only in the thread where its context is current."""
        if self._ledger.context(name) != self._context:
            raise LogicError(f'{name} failed: invalid resource handle')

    def __del__(self):
        """Free it."""
        if hasattr(self, '_id'):
            self._ledger.release(self._id)


class Stream(Resource):
    """Work in order; it happens in :meth:`synchronize`."""

    kind = 'stream'

    def __init__(self, ledger):
        super().__init__(ledger)
        self.handle = 0x5000 + self._id
        self.queue = []
        self.awaited = set()    # addresses of host buffers that copies will write
        ledger.streams[self.handle] = weakref.proxy(self)

    def enqueue(self, work):
        """Queue a callable."""
        self.queue.append(work)

    def drain(self, count):
        """Do the first pieces of work."""
        work, self.queue = self.queue[:count], self.queue[count:]
        for piece in work:
            piece()

    def synchronize(self):
        """Wait until everything queued is done."""
        self.check('synchronize')
        self.drain(len(self.queue))

    def __del__(self):
        """Free it; what is still queued would use freed memory."""
        if getattr(self, 'queue', None) and not self._ledger.sticky:
            self._ledger.broken.append('a stream is freed with work queued')
        super().__del__()


class Event(Resource):
    """A place in the work of a stream."""

    kind = 'event'

    def __init__(self, ledger, flags=0):
        super().__init__(ledger)
        self._stream, self._left = None, 0

    def record(self, stream):
        """Mark the end of what is queued."""
        self.check('record')
        self._stream, done = stream, []
        stream.enqueue(lambda: done.append(True))
        self._done = done

    def synchronize(self):
        """Wait until the work before the mark is done; done at once if there is no mark."""
        self.check('event_synchronize')
        while self._stream is not None and not self._done:
            self._stream.drain(1)
        self._stream = None


class Memory(Resource):
    """Device memory between guard bytes."""

    kind = 'memory'

    def __init__(self, ledger, size):
        super().__init__(ledger)
        self.size = size
        self._whole = np.full(size + 2 * GUARD, GUARD_BYTE, np.uint8)
        self.bytes = self._whole[GUARD:GUARD + size]
        self.bytes[:] = POISON
        self.address = self.bytes.__array_interface__['data'][0]
        self._freed = False
        ledger.memory[self.address] = weakref.proxy(self)

    def __int__(self):
        """Give the address."""
        return self.address

    def free(self):
        """Free it; once."""
        self._ledger.calls.append('free')
        if self._freed:
            self._ledger.breaks('device memory is freed twice')
        self._freed = True
        guards = np.concatenate([self._whole[:GUARD], self._whole[-GUARD:]])
        if np.any(guards != GUARD_BYTE):
            self._ledger.broken.append('a kernel wrote beside an allocation')
        del self._ledger.memory[self.address]
        self._ledger.release(self._id)

    def __del__(self):
        """Free it if nobody did."""
        if hasattr(self, '_freed') and not self._freed:
            self.free()


class Kernel:
    """A function of a module, run on the CPU."""

    def __init__(self, ledger, module, run):
        self._ledger = ledger
        self._module = weakref.ref(module)
        self._run = run
        self._format = None

    def prepare(self, arguments):
        """Declare the arguments, as the module struct has them."""
        self._format = arguments

    def prepared_async_call(self, grid, block, stream, *arguments):
        """Queue a launch."""
        stream.check('launch')
        if self._module() is None:
            self._ledger.breaks('launch: the module of the kernel was unloaded')
        if len(arguments) != len(self._format):
            self._ledger.breaks(f'launch: {len(arguments)} arguments for {self._format}')
        for kind, value in zip(self._format, arguments, strict=True):
            if kind == 'P':
                self._ledger.find(value, 1, 'launch')
        stream.enqueue(lambda: self._run(grid, block, arguments))


class Module(Resource):
    """Compiled kernels."""

    kind = 'module'

    def __init__(self, ledger, path, kernels):
        super().__init__(ledger)
        self.path = path
        self._kernels = kernels

    def get_function(self, name):
        """Give a kernel."""
        self.check('get_function')
        if name not in self._kernels:
            raise LogicError('cuModuleGetFunction failed: named symbol not found')
        return Kernel(self._ledger, self, self._kernels[name])


class EventFlags:
    """As in pycuda."""

    DEFAULT, BLOCKING_SYNC, DISABLE_TIMING = 0, 1, 2


class RecordingCuda:
    """
    Stands for the module ``pycuda.driver``.

    Args:
        kernels: name → callable(grid, block, arguments) that stands for a compiled kernel.
        devices: how many GPUs there are.
    """

    Error, LogicError, LaunchError = Error, LogicError, LaunchError
    event_flags = EventFlags

    def __init__(self, kernels=None, devices=1):
        self.MemoryError, self.RuntimeError = MemoryError, RuntimeError
        self.ledger = Ledger()
        self._kernels = kernels or {}
        self._devices = devices
        self._initialised = False

    def init(self):
        """Start the driver."""
        self.ledger.call('init')
        self._initialised = True

    def Device(self, index):
        """Give a device."""
        self.ledger.call('Device')
        if not self._initialised:
            raise LogicError('cuDeviceGet failed: initialization error')
        if not 0 <= index < self._devices:
            raise LogicError('cuDeviceGet failed: invalid device ordinal')
        return self

    def retain_primary_context(self):
        """Retain the primary context of the device."""
        self.ledger.call('retain_primary_context')
        return Context(self.ledger)

    def Stream(self, flags=0):
        """Make a stream."""
        return Stream(self.ledger)

    def Event(self, flags=0):
        """Make an event."""
        return Event(self.ledger, flags)

    def mem_alloc(self, size):
        """Allocate device memory."""
        return Memory(self.ledger, int(size))

    def mem_get_info(self):
        """Give free and total bytes."""
        self.ledger.context('mem_get_info')
        used = sum(memory.size for memory in self.ledger.memory.values())
        return (8 << 30) - used, 8 << 30

    def pagelocked_empty(self, shape, dtype, order='C', mem_flags=0):
        """Allocate page-locked host memory; it is freed with its last view."""
        ledger = self.ledger
        context = ledger.context('pagelocked_empty')
        owner = np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize, POISON, np.uint8)
        address, number = owner.__array_interface__['data'][0], ledger.take('page-locked', context)
        ledger.host[address] = owner.nbytes

        def free():
            del ledger.host[address]
            ledger.release(number)

        weakref.finalize(owner, free)
        return owner.view(dtype).reshape(shape)

    def memcpy_htod_async(self, dest, src, stream):
        """Queue a copy to the device; the host buffer is read when it runs."""
        stream.check('memcpy_htod_async')
        self.ledger.check_page_locked(src, 'memcpy_htod_async')
        target = self.ledger.find(int(dest), src.nbytes, 'memcpy_htod_async')
        source = src.reshape(-1).view(np.uint8)
        stream.enqueue(lambda: np.copyto(target, source))

    def memcpy_dtoh_async(self, dest, src, stream):
        """Queue a copy to the host; until it has run the buffer holds garbage."""
        stream.check('memcpy_dtoh_async')
        self.ledger.check_page_locked(dest, 'memcpy_dtoh_async')
        source = self.ledger.find(int(src), dest.nbytes, 'memcpy_dtoh_async')
        target = dest.reshape(-1).view(np.uint8)
        target[:] = POISON
        address, awaited = target.__array_interface__['data'][0], stream.awaited
        if address in awaited:
            self.ledger.breaks('memcpy_dtoh_async: nobody waited for the copy before this one')
        awaited.add(address)

        def copy():
            awaited.remove(address)
            np.copyto(target, source)

        stream.enqueue(copy)

    def module_from_file(self, filename):
        """Load compiled kernels."""
        return Module(self.ledger, filename, self._kernels)
