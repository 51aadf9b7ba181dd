// Laying out a level's anchors. The CPU side is in layers/heads/anchors.cpp, the kernel in cuda/anchors.cu.
#pragma once

#include "core/anchors.h"
#include "core/box_rows.h"
#include "core/stream.h"

namespace osprey {

// Writes anchors [1,H,W,4A], of which a cell's A shapes, [1,1,A,4] about (0, 0), lie side by side.
namespace cpu {
void place_anchors(Stream&, View<const float> shapes, AnchorGrid, View<float> anchors);
}
namespace cuda {
void place_anchors(Stream&, View<const float> shapes, AnchorGrid, View<float> anchors);
}

}  // namespace osprey
