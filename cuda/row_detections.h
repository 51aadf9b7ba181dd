// Heads that have decoded their boxes already give rows x y w h objectness classes... (RowEntry in
// cuda/head.h) with boxes in units of the network input, 0..1. The CPU side is in
// layers/heads/row_detections.cpp, the kernel in cuda/row_detections.cu.
#pragma once

#include "cuda/detections.h"
#include "cuda/head.h"

namespace osprey {

namespace cuda {
// Appends to the candidates of each image the rows of which some class scores above the threshold (at least
// 0). rows [N,1,R,5 + classes].
void row_candidates(Stream&, View<const float> rows, float threshold, const DetectionLists& lists);
}  // namespace cuda

}  // namespace osprey
