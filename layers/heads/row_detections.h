// What Head::decode does for heads whose rows hold decoded boxes.
#pragma once

#include "cuda/row_detections.h"
#include "layers/heads/head.h"

namespace osprey {

// Appends the rows [N,1,R,5 + classes] of one image of which some class scores above the threshold.
void decode_rows(View<const float> rows, int image, float threshold, Candidates& out);

}  // namespace osprey
