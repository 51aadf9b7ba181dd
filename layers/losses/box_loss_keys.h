// The cfg keys of the box loss of anchor heads and of [rcnn].
#pragma once

#include "core/cfg.h"
#include "core/row_box_loss.h"

namespace osprey {

// box_loss and smooth_l1_beta, whose default is the beta in `loss`, shown as `beta`. The constant of NWD is
// that of matching, which has its key.
void box_loss_keys(Keys& k, RowBoxLoss& loss, const char* beta);

}  // namespace osprey
