#include "train/crowded.h"

#include <gtest/gtest.h>

namespace osprey {
namespace {

Sample with_objects(int count) {
  Sample sample;
  sample.labels.resize(size_t(count));
  return sample;
}

TEST(Crowded, TellsHowManyObjectsAreCutAndWhichKeyToRaise) {
  Dataset dataset;
  for (const int count : {3, 0, 7, 5}) dataset.samples.push_back(with_objects(count));
  EXPECT_EQ(tell_crowded(dataset, 7), "");
  EXPECT_EQ(
      tell_crowded(dataset, 4),
      "2 of 4 training images have more objects than the 4 that are learnt of an image, up to 7: 4 objects "
      "are cut in every epoch; max=7 in all sections that have this key learns them");
}

TEST(Crowded, CountsOnlyWhatIsLearnt) {
  Dataset dataset;
  dataset.samples.push_back(with_objects(6));
  dataset.samples[0].labels[1].difficult = true;
  dataset.samples[0].labels[2].crowd = true;
  EXPECT_EQ(tell_crowded(dataset, 4), "");
  EXPECT_NE(tell_crowded(dataset, 3), "");
}

}  // namespace
}  // namespace osprey
