// A GPU on the processor, driven over a pipe: memory, kernels, and cuBLAS's matrix product.
//
// Refuses what a real device would not notice: arguments of another type than the kernel's,
// accesses beyond the end of memory (a guard page follows each allocation), values that nobody
// wrote (fresh memory is NaN), and barriers that some threads miss.
#define EMULATOR
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>

#include "../kernels/kernels.cu"
#include "scheduler.h"

namespace {

struct Memory {
    char kind;
    size_t bytes;
    char *start;
    void *mapping;
    size_t mapped;
};

std::map<uint32_t, Memory> memories;

template <typename T> T take() {
    T value;
    if (fread(&value, sizeof value, 1, stdin) != 1) {
        exit(0);
    }
    return value;
}

void allocate() {
    uint32_t id = take<uint32_t>();
    Memory memory = {};
    memory.kind = take<char>();
    memory.bytes = take<uint64_t>();
    size_t page = sysconf(_SC_PAGESIZE);
    size_t body = (memory.bytes + page - 1) / page * page;
    memory.mapped = body + 2 * page;
    char *mapping = (char *)mmap(nullptr, memory.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED || mprotect(mapping + page, body, PROT_READ | PROT_WRITE) != 0) {
        scheduler::fail("out of memory");
    }
    memory.mapping = mapping;
    memory.start = mapping + page + body - memory.bytes;
    memset(memory.start, 0xff, memory.bytes);
    memories[id] = memory;
}

Memory &find() {
    auto found = memories.find(take<uint32_t>());
    if (found == memories.end()) {
        scheduler::fail("unknown memory");
    }
    return found->second;
}

void release() {
    Memory memory = find();
    munmap(memory.mapping, memory.mapped);
    memories.erase(std::find_if(memories.begin(), memories.end(), [&](auto &pair) {
        return pair.second.start == memory.start;
    }));
}

void write_memory() {
    Memory &memory = find();
    if (memory.bytes > 0 && fread(memory.start, memory.bytes, 1, stdin) != 1) {
        exit(1);
    }
}

void read_memory() {
    Memory &memory = find();
    fwrite(memory.start, memory.bytes, 1, stdout);
    fflush(stdout);
}

// An operand: its memory, and how many values lie before it.
char *pointer(char *kind) {
    Memory &memory = find();
    uint64_t offset = take<uint64_t>();
    *kind = memory.kind;
    return memory.start + offset * (memory.kind == 'f' ? 4 : 2);
}

void launch() {
    std::string name(take<uint32_t>(), ' ');
    for (char &letter : name) {
        letter = take<char>();
    }
    Dimensions grid = {take<uint32_t>(), 0, 0};
    grid.y = take<uint32_t>();
    grid.z = take<uint32_t>();
    uint32_t size = take<uint32_t>();
    std::vector<uint64_t> values(take<uint32_t>());
    std::vector<void *> arguments;
    std::string letters;
    for (uint64_t &value : values) {
        char letter = take<char>();
        if (letter == 'm') {
            char *start = pointer(&letter);
            memcpy(&value, &start, sizeof start);
        } else {
            value = take<uint64_t>();
        }
        letters.push_back(letter);
        arguments.push_back(&value);
    }
    for (Entry *entry : Entry::all()) {
        if (name == entry->name) {
            scheduler::kernel = entry->name;
            if (letters != entry->letters) {
                fprintf(stderr, "takes %s, called with %s\n", entry->letters.c_str(), letters.c_str());
                scheduler::fail("arguments of other types");
            }
            scheduler::launch(*entry, grid, size, arguments.data());
            return;
        }
    }
    fprintf(stderr, "no kernel %s\n", name.c_str());
    exit(1);
}

// A matrix as cuBLAS takes it: by columns, which lie `leading` values apart.
struct Matrix {
    char *start;
    char kind;
    bool transposed;
    int leading;
    int64 stride;

    int64 index(int row, int column, int entry) const {
        return entry * stride + (transposed ? column + (int64)row * leading : row + (int64)column * leading);
    }
    float get(int row, int column, int entry) const {
        int64 at = index(row, column, entry);
        return kind == 'f' ? ((float *)start)[at] : load(((bf16 *)start)[at]);
    }
    void set(int row, int column, int entry, float value) const {
        int64 at = index(row, column, entry);
        kind == 'f' ? store((float *)start + at, value) : store((bf16 *)start + at, value);
    }
};

Matrix take_matrix(int rows, int columns) {
    Matrix matrix = {};
    matrix.start = pointer(&matrix.kind);
    matrix.transposed = take<char>() != 0;
    matrix.leading = take<int>();
    matrix.stride = take<int64>();
    if (matrix.leading < std::max(1, matrix.transposed ? columns : rows)) {
        scheduler::fail("a matrix whose columns overlap");
    }
    return matrix;
}

// `c = alpha a b + beta c` of m by k and k by n for each entry, as in cublasGemmStridedBatchedEx.
void multiply() {
    int m = take<int>(), n = take<int>(), k = take<int>(), batch = take<int>();
    float alpha = take<float>(), beta = take<float>();
    Matrix a = take_matrix(m, k), b = take_matrix(k, n), c = take_matrix(m, n);
    if (a.kind != b.kind || (a.kind == 'f' && c.kind == 'b')) {
        scheduler::fail("a product of types that cuBLAS lacks");
    }
    for (int entry = 0; entry < batch; entry++) {
        for (int column = 0; column < n; column++) {
            for (int row = 0; row < m; row++) {
                float sum = 0.0f;
                for (int i = 0; i < k; i++) {
                    sum += a.get(row, i, entry) * b.get(i, column, entry);
                }
                float before = beta == 0.0f ? 0.0f : beta * c.get(row, column, entry);
                c.set(row, column, entry, alpha * sum + before);
            }
        }
    }
}

// A fault is a kernel that leaves its memory.
void fault(int) {
    static const char text[] = ": an access outside of the memory it was given\n";
    ssize_t written = write(2, scheduler::kernel, strlen(scheduler::kernel));
    written += write(2, text, sizeof text - 1);
    _exit(written > 0 ? 1 : 2);
}

} // namespace

int main() {
    signal(SIGSEGV, fault);
    signal(SIGBUS, fault);
    while (true) {
        switch (take<char>()) {
        case 'a':
            allocate();
            break;
        case 'd':
            release();
            break;
        case 'w':
            write_memory();
            break;
        case 'r':
            read_memory();
            break;
        case 'l':
            launch();
            break;
        case 'g':
            multiply();
            break;
        default:
            scheduler::fail("an unknown command");
        }
    }
}
