#include "train/classifier.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "data/classes.h"
#include "train/image_batches.h"

namespace osprey {

bool classifies(const Network& network) {
  const Shape out = network.output(int(network.nodes().size()) - 1);
  return network.heads().empty() && out.n == network.input().shape.n && out.h == 1 && out.w == 1;
}

int classes_of(const Network& network) {
  const Shape out = network.nodes().back().output;
  if (!network.heads().empty())
    fail("the network detects ({}): it has boxes, and no classes of whole images",
         network.where(int(network.nodes().size()) - 1));
  if (!classifies(network))
    fail(
        "{}: makes {}: a classifier's last layer has one value for each class, as [softmax] behind [avgpool]",
        network.where(int(network.nodes().size()) - 1), out.text());
  return out.c;
}

bool takes_several_classes(const Network& network) {
  const auto& nodes = network.nodes();
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const Node& node) { return std::string(node.type->name) == "logistic"; });
}

std::vector<std::string> label_names(const DataFile& data, int classes) {
  std::vector<std::string> names = read_label_names(data);
  if (int(names.size()) != classes)
    fail("{}: names {} classes, but the network has {}", data.path, names.size(), classes);
  return names;
}

ImageClassifier::ImageClassifier(Network& network, Fit fit)
    : network_(network), feed_(network, fit), classes_(classes_of(network)) {}

std::vector<std::vector<float>> ImageClassifier::classify(const std::vector<const ByteImage*>& images) {
  feed_.give(images);
  network_.forward();
  const std::vector<float> all = network_.read(int(network_.nodes().size()) - 1);
  std::vector<std::vector<float>> values;
  for (size_t i = 0; i < images.size(); ++i) {
    const auto first = all.begin() + ptrdiff_t(i) * classes_;
    values.emplace_back(first, first + classes_);
  }
  return values;
}

std::vector<int> best_classes(const std::vector<float>& values, int count) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  count = std::min(count, int(order.size()));
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int a, int b) {
    return values[size_t(a)] != values[size_t(b)] ? values[size_t(a)] > values[size_t(b)] : a < b;
  });
  order.resize(size_t(count));
  return order;
}

Accuracy measure_accuracy(Network& network, const Dataset& dataset, int k, Fit fit,
                          const std::function<void(const Accuracy&)>& progress) {
  ImageClassifier classifier(network, fit);
  Accuracy accuracy;
  accuracy.k = std::clamp(k, 1, classifier.classes());
  accuracy.images_per_class.resize(size_t(classifier.classes()));
  accuracy.hits_per_class.resize(size_t(classifier.classes()));
  const Shape input = network.input().shape;
  for_each_batch(dataset, input.n, input.c, [&](const ImageBatch& batch) {
    const std::vector<std::vector<float>> values = classifier.classify(batch.pointers());
    for (int i = 0; i < batch.count(); ++i) {
      const std::vector<int>& classes = dataset.samples[size_t(batch.first + i)].classes;
      const auto is_true = [&](int c) {
        return std::find(classes.begin(), classes.end(), c) != classes.end();
      };
      const std::vector<int> best = best_classes(values[size_t(i)], accuracy.k);
      const bool readable = !batch.broken[size_t(i)];
      ++accuracy.images;
      accuracy.broken_images += !readable;
      accuracy.hits += readable && is_true(best[0]);
      accuracy.hits_of_k += readable && std::any_of(best.begin(), best.end(), is_true);
      for (const int c : classes) {
        ++accuracy.images_per_class[size_t(c)];
        accuracy.hits_per_class[size_t(c)] += readable && best[0] == c;
      }
    }
    if (progress) progress(accuracy);
  });
  return accuracy;
}

}  // namespace osprey
