// [proposals]: RoIs that come with the images, as selective search makes them for Fast R-CNN, as a table
// [N,1,num,kRoiEntries]. It reads no layer.
#include "cuda/rois.h"
#include "layers/layer.h"

namespace osprey {
namespace {

class ProposalsLayer final : public Layer {
 public:
  void keys(Keys& k) override {
    k.integer("num", num_, 2000).at_least(1).help("RoIs of an image, at most: the first lines of its file");
  }
  std::vector<std::string> sources() const override { return {}; }

  void plan(Plan& p) override {
    p.require(from.empty(), "from", "from has no meaning here: RoIs come with the images");
    network_ = p.options().network_input;
    p.output({network_.n, 1, num_, kRoiEntries}, Type::f32);
    p.proposals(proposals_, num_);
  }

  void forward(Stream& s) override {
    on(s, cpu::table_of_proposals, cuda::table_of_proposals)(s, proposals_, float(network_.w),
                                                             float(network_.h), y);
  }
  void backward(Stream&) override {}  // they are given, not learnt

 private:
  int num_ = 2000;
  Shape network_;
  Proposals proposals_;
};

}  // namespace

extern const LayerType proposals = {"proposals", nullptr, "RoIs that come with the images",
                                    make<ProposalsLayer>};

}  // namespace osprey
