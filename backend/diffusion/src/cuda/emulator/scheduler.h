// Runs the threads of a block as coroutines on one processor.
//
// Each warp runs as far as it can before the next one starts, and the orders of blocks, warps and
// lanes change from block to block: a kernel that relies on one of them, or that lacks a barrier,
// gives other results. Shared memory starts as NaN.
#pragma once
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <algorithm>
#include <vector>

#include "device.h"

Dimensions threadIdx, blockIdx, blockDim, gridDim;

namespace scheduler {

enum State { READY, AT_WARP, AT_BLOCK, DONE };

struct Thread {
    State state;
    bool started;
    ucontext_t context;
    jmp_buf place;
    std::vector<char> stack;
    // Two values in turn: a lane may be one exchange ahead of its neighbours.
    float offered[2];
    unsigned int exchanges;
};

struct Shared {
    std::vector<char> bytes;
};

static const char *kernel = "none";
static const Entry *entry;
static void *const *arguments;
static std::vector<Thread> threads(1024);
static std::vector<Shared *> shared;
static jmp_buf loop;
static unsigned int current;

[[noreturn]] static void fail(const char *reason) {
    fprintf(stderr, "emulator: kernel %s, block %u, thread %u: %s\n", kernel, blockIdx.x, current,
            reason);
    exit(1);
}

// Leaves the running thread until the scheduler makes it ready again.
static void wait(State state) {
    threads[current].state = state;
    if (_setjmp(threads[current].place) == 0) {
        _longjmp(loop, 1);
    }
}

static void run() {
    entry->call(entry->function, arguments);
    threads[current].state = DONE;
    _longjmp(loop, 1);
}

// Goes on with one thread until it waits or ends.
static void resume(unsigned int index) {
    current = index;
    threadIdx = {index, 0, 0};
    Thread &thread = threads[index];
    if (_setjmp(loop) != 0) {
        return;
    }
    if (thread.started) {
        _longjmp(thread.place, 1);
    }
    thread.started = true;
    getcontext(&thread.context);
    thread.stack.resize(1 << 16);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = thread.stack.size();
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, run, 0);
    setcontext(&thread.context);
}

static unsigned int count(unsigned int from, unsigned int to, State state) {
    unsigned int found = 0;
    for (unsigned int i = from; i < to; i++) {
        found += threads[i].state == state;
    }
    return found;
}

static void release(unsigned int from, unsigned int to) {
    for (unsigned int i = from; i < to; i++) {
        threads[i].state = READY;
    }
}

// Lets the block go on where all its threads wait; false when all are done.
static bool release_block() {
    if (count(0, blockDim.x, DONE) == blockDim.x) {
        return false;
    }
    if (count(0, blockDim.x, AT_BLOCK) < blockDim.x) {
        fail("a barrier that not all threads of the block reach");
    }
    release(0, blockDim.x);
    return true;
}

static unsigned int mixed(unsigned int &state, unsigned int bound) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % bound;
}

// Numbers up to `size`: in order, backwards, or mixed.
static std::vector<unsigned int> order(unsigned int size, unsigned int seed) {
    std::vector<unsigned int> indices(size);
    for (unsigned int i = 0; i < size; i++) {
        indices[i] = seed % 3 == 1 ? size - 1 - i : i;
    }
    for (unsigned int i = size; seed % 3 == 2 && i > 1; i--) {
        std::swap(indices[i - 1], indices[mixed(seed, i)]);
    }
    return indices;
}

// Runs a warp as far as it gets without the others: ahead of them all, as a GPU may.
static void run_warp(unsigned int from, const std::vector<unsigned int> &lanes) {
    while (true) {
        for (unsigned int lane : lanes) {
            if (threads[from + lane].state == READY) {
                resume(from + lane);
            }
        }
        unsigned int waiting = count(from, from + 32, AT_WARP);
        if (waiting == 0) {
            return;
        }
        if (waiting < 32) {
            fail("a shuffle that not all threads of the warp reach");
        }
        release(from, from + 32);
    }
}

static void run_block(unsigned int seed) {
    for (Shared *memory : shared) {
        std::fill(memory->bytes.begin(), memory->bytes.end(), (char)0xff);
    }
    for (unsigned int i = 0; i < blockDim.x; i++) {
        threads[i].state = READY;
        threads[i].started = false;
        threads[i].exchanges = 0;
    }
    auto warps = order(blockDim.x / 32, seed), lanes = order(32, seed / 3);
    do {
        for (unsigned int warp : warps) {
            run_warp(32 * warp, lanes);
        }
    } while (release_block());
}

// Runs a kernel to its end.
static void launch(const Entry &called, Dimensions grid, unsigned int size, void *const *given) {
    static unsigned int launches = 0;
    kernel = called.name;
    entry = &called;
    arguments = given;
    current = 0;
    gridDim = grid;
    blockDim = {size, 1, 1};
    if (size == 0 || size > 1024 || size % 32 != 0) {
        fail("a block is 32 to 1024 threads, in whole warps");
    }
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535) {
        fail("a grid of this size does not exist");
    }
    launches++;
    unsigned int number = 0;
    for (unsigned int block : order(grid.x * grid.y * grid.z, launches)) {
        blockIdx = {block % grid.x, block / grid.x % grid.y, block / grid.x / grid.y};
        run_block(launches + number++);
    }
    kernel = "none";
}

} // namespace scheduler

void __syncthreads() {
    scheduler::wait(scheduler::AT_BLOCK);
}

float __shfl_xor_sync(unsigned int mask, float x, int offset) {
    using namespace scheduler;
    if (mask != 0xffffffffu) {
        fail("shuffles take whole warps");
    }
    unsigned int turn = threads[current].exchanges++ % 2;
    threads[current].offered[turn] = x;
    wait(AT_WARP);
    return threads[current ^ (unsigned int)offset].offered[turn];
}

void *shared_memory(size_t bytes) {
    auto *memory = new scheduler::Shared;
    memory->bytes.assign(bytes, (char)0xff);
    scheduler::shared.push_back(memory);
    return memory->bytes.data();
}
