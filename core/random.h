// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). A number is a function of (seed, purpose, step, index) and of how many were drawn before it, so
// it is the same for any number of threads, on every device, and in a run that was resumed.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/device.h"

namespace osprey {

// What the numbers are for. Each purpose is a stream of its own: new draws in one never move another.
enum class Purpose : uint32_t {
  initialise,
  sample,
  augment,
  dropout,
  resize,
  synth,
  test,
  choose_rows,
  crop
};

struct Philox {
  uint32_t v[4];
};

// Ten rounds over a 128-bit counter with a 64-bit key.
HOST_DEVICE inline Philox philox(Philox counter, uint64_t key) {
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t(0xD2511F53u) * counter.v[0];
    const uint64_t b = uint64_t(0xCD9E8D57u) * counter.v[2];
    counter = {{uint32_t(b >> 32) ^ counter.v[1] ^ k0, uint32_t(b), uint32_t(a >> 32) ^ counter.v[3] ^ k1,
                uint32_t(a)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

class Random {
 public:
  HOST_DEVICE Random(uint64_t seed, Purpose purpose, uint64_t step = 0, uint64_t index = 0)
      : key_(seed ^ (uint64_t(purpose) + 1) * 0x9E3779B97F4A7C15ull ^ (step >> 32) * 0xD1B54A32D192ED03ull),
        counter_{{0, uint32_t(index), uint32_t(index >> 32), uint32_t(step)}} {}

  HOST_DEVICE uint32_t bits() {
    if (next_ == 4) {
      block_ = philox(counter_, key_);
      ++counter_.v[0];
      next_ = 0;
    }
    return block_.v[next_++];
  }

  HOST_DEVICE float uniform() { return float(bits() >> 8) * 0x1p-24f; }  // in [0, 1)
  HOST_DEVICE float uniform(float low, float high) { return low + (high - low) * uniform(); }
  HOST_DEVICE int below(int n) { return int(uint64_t(bits()) * uint64_t(n) >> 32); }  // 0 .. n-1
  HOST_DEVICE bool chance(float probability) { return uniform() < probability; }

  // Box-Muller; the second number of the pair is not kept, so that the count of draws stays plain.
  HOST_DEVICE float normal() {
    const float u = 1.0f - uniform(), v = uniform();
    return sqrtf(-2.0f * logf(u)) * cosf(6.283185307f * v);
  }

  // Darknet's rand_scale: uniform in [1, s], or with probability 1/2 the inverse of that.
  HOST_DEVICE float scale(float s) {
    const float u = uniform(1.0f, s);
    return chance(0.5f) ? u : 1.0f / u;
  }

 private:
  uint64_t key_;
  Philox counter_;
  Philox block_{};
  int next_ = 4;
};

}  // namespace osprey
