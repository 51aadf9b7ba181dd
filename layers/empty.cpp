// [empty]: does nothing, and counts as a layer.
#include "layers/pass_through.h"

namespace osprey {

extern const LayerType empty = {"empty", "silence blank", "does nothing, and counts as a layer",
                                make<PassThrough>};

}  // namespace osprey
