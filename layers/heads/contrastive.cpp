// [contrastive]: in Darknet a loss that pulls the embeddings of one tracked object together. In detection it
// passes its input on; its training is not part of this engine.
#include "layers/pass_through.h"

namespace osprey {
namespace {

class Contrastive final : public PassThrough {
 public:
  void keys(Keys& k) override {
    for (const char* key :
         {"classes", "yolo_layer", "temperature", "cls_normalizer", "max_delta", "contrastive_neg_max"})
      k.ignored(key, "it belongs to the training of embeddings");
  }
  const char* why_not_trained() const override {
    return "embeddings are not trained here: remove this section, the layers that it alone reads, and "
           "embedding_layer of [yolo]";
  }
};

}  // namespace

extern const LayerType contrastive = {"contrastive", nullptr,
                                      "embeddings of tracked objects, in detection only", make<Contrastive>};

}  // namespace osprey
