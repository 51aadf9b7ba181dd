// For programs without kernels: there is no device, and no stream of one can be made.
#include "core/error.h"
#include "cuda/graph.h"
#include "cuda/launch.h"
#include "cuda/runtime.h"

namespace osprey::cuda {
namespace {

[[noreturn]] void no_kernels() { fail("this program has no kernels: it computes on the CPU alone"); }

}  // namespace

void refuse_launch() { no_kernels(); }

bool has_gpu_kernels() { return false; }
bool emulated() { return false; }
int device_count() { return 0; }
void use_device(int) { no_kernels(); }
std::string device_name() { return "none"; }
size_t free_memory() { return 0; }

Stream make_stream() { no_kernels(); }
void release_stream(Stream&) {}
void* allocate(size_t) { no_kernels(); }
void release(void*) {}
void* allocate_pinned(size_t) { no_kernels(); }
void release_pinned(void*) {}
void copy(Stream&, void*, const void*, size_t) { no_kernels(); }
void fill_zero(Stream&, void*, size_t) { no_kernels(); }
void synchronize(const Stream&) {}

Event::~Event() = default;
void Event::record(Stream&) { no_kernels(); }
void Event::wait() const {}

Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept {}
Graph& Graph::operator=(Graph&&) noexcept { return *this; }
void Graph::release() noexcept {}
void Graph::capture(Stream&, const std::function<void()>&) { no_kernels(); }
void Graph::replay(Stream&) { no_kernels(); }

}  // namespace osprey::cuda
