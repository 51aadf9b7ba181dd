// What [reorg] and [reorg3d] become in ONNX; in layers/reorg.cpp.
#pragma once

#include "cuda/reorg.h"
#include "layers/onnx_graph.h"

namespace osprey {

std::string reorg_to_onnx(OnnxGraph&, const Reorg&, Shape out);

}  // namespace osprey
