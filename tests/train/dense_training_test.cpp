// Heads that judge every anchor, [retina] and [ssd], in a network of two levels: gradients from their losses
// to the weights of the backbone.
#include "tests/train/backbone_gradient.h"

namespace osprey {
namespace {

// Maps of strides 4 and 8. Nothing has a kink, so that differences measure gradients.
const std::string kBackbone =
    "[net]\nbatch=4\nwidth=32\nheight=32\nchannels=3\n"
    "[convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    "[convolutional]\nname=p2\nfilters=12\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    "[convolutional]\nname=p3\nfilters=12\nsize=3\nstride=2\npad=1\nactivation=mish\n";

// The weights of the second level are those of the first, if `shared`.
std::string map(const std::string& name, int filters, bool shared) {
  std::string text;
  for (const std::string level : {"2", "3"})
    text += "[convolutional]\nname=" + name + level + "\nfrom=p" + level +
            "\nsize=1\nactivation=linear\nfilters=" + std::to_string(filters) +
            (shared && level == "3" ? "\nshare=" + name + "2\n" : "\n");
  return text;
}

std::string retina(int anchors, const std::string& keys, bool quality = false) {
  return kBackbone + map("classes", 2 * anchors, true) + map("boxes", 4 * anchors, true) +
         (quality ? map("quality", anchors, true) : "") +
         "[retina]\nclasses=2\nscales_per_octave=1\nfrom=classes2," + "classes3,boxes2,boxes3" +
         (quality ? ",quality2,quality3" : "") + "\n" + keys;
}

std::string ssd() {
  return kBackbone + map("classes", 12, false) + map("boxes", 16, false) +
         "[ssd]\nclasses=2\nmin_sizes=8,14\nmax_sizes=14,20\nfrom=classes2,classes3,boxes2,boxes3\n";
}

void expect_gradients(const std::string& cfg) {
  SCOPED_TRACE(cfg.substr(kBackbone.size()));
  PlannedNetwork network(cfg, 4);
  fill_randomly(network.input(), 3);
  put_truths(network, 3, 2);
  expect_gradients_of_the_backbone(network, int(network.nodes().size()) - 1);
}

// Those matchers that look at anchors alone: what others choose would move with the weights.
TEST(DenseTraining, GradientsReachTheBackbone) {
  const std::string pairs = "anchor_scale=2\nanchor_ratios=1,2\n",
                    single = "anchor_scale=2\nanchor_ratios=1\n";
  expect_gradients(retina(2, pairs + "smooth_l1_beta=1\n"));
  expect_gradients(retina(2, pairs + "class_loss=bce\nbox_loss=nwd\nbox_weight=3\nnormaliser=batch\n"));
  expect_gradients(
      retina(1, single + "assigner=atss\nbox_loss=giou\nbox_weight=2\nquality=centerness\n", true));
  expect_gradients(retina(1, single + "assigner=ranking\nsimilarity=nwd\nbox_loss=diou\n"));
}

// Which anchors are the hardest stays as it is for small steps.
TEST(DenseTraining, GradientsOfSsdReachTheBackbone) { expect_gradients(ssd()); }

}  // namespace
}  // namespace osprey
