#include "bench/kernels/counting.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "cuda/emulation.h"

namespace osprey::bench {
namespace {

constexpr int kLanes = 32, kWarps = 32, kSector = 32, kBanks = 32, kBankBytes = 4;

struct Request {
  std::array<uintptr_t, kLanes> addresses{};  // 0: the lane asks for nothing
};

// A line of the source that accesses memory in one way, and what the block that runs did there.
struct Site {
  int line;
  Access access;
  int bytes;  // of each lane
  std::array<unsigned, kWarps * kLanes> visits{};
  std::array<std::vector<Request>, kWarps> requests{};
};

struct Trace {
  Counts counts;
  std::vector<Site> sites;
  uint3 block{};
  int threads_before = 1;  // of the host
};
Trace g_trace;

bool is_shared(Access a) { return a == Access::shared_read || a == Access::shared_write; }

Site& site_of(int line, Access access, int bytes) {
  for (Site& site : g_trace.sites)
    if (site.line == line && site.access == access && site.bytes == bytes) return site;
  return g_trace.sites.emplace_back(Site{line, access, bytes});
}

// The different units of `unit` bytes that the lanes touch, in order.
std::vector<uintptr_t> units(const Request& request, int bytes, int unit) {
  std::vector<uintptr_t> touched;
  for (const uintptr_t address : request.addresses)
    if (address)
      for (uintptr_t u = address / unit; u <= (address + bytes - 1) / unit; ++u) touched.push_back(u);
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  return touched;
}

int turns(const Request& request, int bytes) {
  int of_bank[kBanks] = {};
  for (const uintptr_t word : units(request, bytes, kBankBytes)) ++of_bank[word % kBanks];
  return *std::max_element(of_bank, of_bank + kBanks);
}

void count(const Site& site, const Request& request) {
  Counts& c = g_trace.counts;
  const auto lanes = kLanes - std::count(request.addresses.begin(), request.addresses.end(), 0u);
  if (lanes == 0) return;
  if (is_shared(site.access)) {
    ++c.shared_requests;
    c.shared_turns += turns(request, site.bytes);
    return;
  }
  ++c.requests;
  c.moved_bytes += kSector * int64_t(units(request, site.bytes, kSector).size());
  (site.access == Access::read ? c.read_bytes : c.written_bytes) += lanes * site.bytes;
  if (site.access == Access::atomic) c.flops += lanes;
}

void finish_block() {
  for (Site& site : g_trace.sites) {
    for (auto& requests : site.requests) {
      for (const Request& request : requests) count(site, request);
      requests.clear();
    }
    site.visits.fill(0);
  }
}

bool same(uint3 a, uint3 b) { return a.x == b.x && a.y == b.y && a.z == b.z; }

int thread_of_block() { return int(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)); }

}  // namespace

void begin_counting() {
  g_trace = {};
  g_trace.threads_before = threads();
  set_threads(1);
  counting::flops = 0;
  counting::on = true;
}

Counts end_counting() {
  finish_block();
  counting::on = false;
  g_trace.counts.flops += counting::flops;
  set_threads(g_trace.threads_before);
  return std::exchange(g_trace, {}).counts;
}

void note_access(Access access, const void* address, int bytes, int line) {
  if (!same(blockIdx, g_trace.block)) finish_block();
  g_trace.block = blockIdx;
  Site& site = site_of(line, access, bytes);
  const int thread = thread_of_block();
  const unsigned visit = site.visits[thread]++;
  auto& requests = site.requests[thread / kLanes];
  if (requests.size() <= visit) requests.resize(visit + 1);
  requests[visit].addresses[thread % kLanes] = reinterpret_cast<uintptr_t>(address);
}

void note_launch(int64_t blocks) {
  finish_block();
  g_trace.sites.clear();
  ++g_trace.counts.kernels;
  g_trace.counts.blocks += blocks;
}

void note_barrier() {
  if (thread_of_block() == 0) ++g_trace.counts.barriers;
}

}  // namespace osprey::bench
