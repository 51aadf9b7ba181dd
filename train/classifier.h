// From images to the probabilities of classes with a network that never trains; what `classify`, `eval` and
// the training's accuracy share.
#pragma once

#include <functional>
#include <vector>

#include "data/dataset.h"
#include "models/network.h"
#include "train/image_feed.h"

namespace osprey {

// A network without heads whose last layer has one value for each class: Error if it is not planned as one.
int classes_of(const Network& network);
bool classifies(const Network& network);  // it is one
// [logistic]: an image may be of several classes.
bool takes_several_classes(const Network& network);

// The names of a classifier's classes. Error: there are not as many.
std::vector<std::string> label_names(const DataFile& data, int classes);

class ImageClassifier {
 public:
  // For the mini-batch that the network is planned for now. Error: as classes_of().
  explicit ImageClassifier(Network& network, Fit fit = Fit::crop);

  int classes() const { return classes_; }
  // Of each image the values of the last layer; at most as many images as the network's batch.
  std::vector<std::vector<float>> classify(const std::vector<const ByteImage*>& images);

 private:
  Network& network_;
  ImageFeed feed_;
  int classes_;
};

// The classes by falling value, of equal ones the first first; the first `count` of them.
std::vector<int> best_classes(const std::vector<float>& values, int count);

// How often a class of an image has the highest value (top-1), or one of the k highest.
struct Accuracy {
  int k = 1;
  int64_t images = 0, hits = 0, hits_of_k = 0, broken_images = 0;
  std::vector<int64_t> images_per_class, hits_per_class;

  double top1() const { return images ? double(hits) / double(images) : 0; }
  double top_k() const { return images ? double(hits_of_k) / double(images) : 0; }
};

// Images that cannot be read are told, and are no hits. `progress` hears of each batch what there is so far.
Accuracy measure_accuracy(Network& network, const Dataset& dataset, int k, Fit fit = Fit::crop,
                          const std::function<void(const Accuracy&)>& progress = {});

}  // namespace osprey
