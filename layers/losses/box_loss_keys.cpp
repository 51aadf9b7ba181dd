#include "layers/losses/box_loss_keys.h"

namespace osprey {
namespace {

enum class BoxLossName { smooth_l1, iou, iou_square, giou, diou, ciou, eiou, nwd };
constexpr const char* kNames[] = {"smooth_l1", "iou", "iou_square", "giou", "diou", "ciou", "eiou", "nwd"};
constexpr BoxLossRule::Kind kKinds[] = {
    BoxLossRule::Kind::iou,  BoxLossRule::Kind::iou,  BoxLossRule::Kind::iou_square, BoxLossRule::Kind::giou,
    BoxLossRule::Kind::diou, BoxLossRule::Kind::ciou, BoxLossRule::Kind::eiou,       BoxLossRule::Kind::nwd};

}  // namespace

void box_loss_keys(Keys& k, RowBoxLoss& loss, const char* beta) {
  BoxLossName name = BoxLossName::smooth_l1;
  k.choice("box_loss", name, BoxLossName::smooth_l1, kNames)
      .help("smooth_l1 of the deltas, or 1 less this overlap of the boxes, for iou_square less its square");
  loss.on_deltas = name == BoxLossName::smooth_l1;
  loss.of_boxes.kind = kKinds[int(name)];
  k.real("smooth_l1_beta", loss.beta, loss.beta)
      .at_least(0)
      .shown_as(beta)
      .help("smooth_l1: where it turns from square to straight; 0: plain L1");
}

}  // namespace osprey
