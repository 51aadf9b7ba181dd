// What the matchers of anchors and ground truths share (layers/matching/*.cpp, cuda/matching_*.cu).
//
// Each works in two steps, on the CPU as on the GPU: every truth looks over all anchors for what it asks of
// them (its best overlap, the cost of its k-th candidate), then every anchor judges itself against all
// truths. So nothing is scattered, and the result does not depend on the order of threads.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/box.h"
#include "core/stream.h"
#include "core/view.h"

namespace osprey {

// What an anchor (or point, or proposal) is matched with: the index of a truth of its image, or one of these.
constexpr int kBackground = -1, kIgnored = -2;

// Boxes of a mini-batch, some for each image: ground truths, or regions to ignore.
struct BoxLists {
  View<const Box> boxes;   // [N,1,1,capacity], pixels of the network input
  View<const int> counts;  // [N,1,1,1]; no view: there are none at all

  HOST_DEVICE int capacity() const { return boxes.shape.c; }
  HOST_DEVICE int count(int image) const {
    if (!counts) return 0;
    return counts[image] < capacity() ? counts[image] : capacity();
  }
  HOST_DEVICE Box box(int image, int i) const { return boxes(image, 0, 0, i); }
};

// Of anchors [1,1,1,A], which are those of every image, or [N,1,1,A].
HOST_DEVICE inline Box anchor_of(View<const Box> anchors, int image, int i) {
  return anchors(anchors.shape.n == 1 ? 0 : image, 0, 0, i);
}

// Whether a larger part of the anchor than `covered` lies in one of the regions.
HOST_DEVICE inline bool in_a_region(Box anchor, const BoxLists& regions, int image, float covered) {
  for (int r = 0; r < regions.count(image); ++r)
    if (coverage(anchor, regions.box(image, r)) > covered) return true;
  return false;
}

// One row of a table, as a view of its own.
template <class T>
HOST_DEVICE View<T> row_of(View<T> table, int n, int h, int w) {
  return {&table(n, h, w, 0), {1, 1, 1, table.shape.c}};
}

// The last index in a row that ends with -1 where there were no more; -1 if there is none at all.
HOST_DEVICE inline int last_chosen(View<const int> row) {
  int last = row.shape.c - 1;
  while (last > 0 && row[last] < 0) --last;
  return row[last];
}

// Keys sort as values do, equal values by their index; those that are not a number come last. No key is 0.
HOST_DEVICE inline uint64_t rising_key(float value, int index) {
  constexpr uint32_t kSign = 0x80000000u, kNotANumber = 0x7FC00000u;
  uint32_t bits = kNotANumber;
  const float plain = value + 0.0f;  // -0 would sort before 0
  if (plain == plain) memcpy(&bits, &plain, sizeof bits);
  return uint64_t(bits & kSign ? ~bits : bits | kSign) << 32 | uint32_t(index);
}
constexpr uint64_t kNoKey = ~uint64_t(0);  // after all others

HOST_DEVICE inline int index_of_key(uint64_t key) { return int(uint32_t(key)); }

}  // namespace osprey
