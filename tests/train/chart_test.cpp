// The chart of a training is well-formed XML whatever its numbers are.
#include "train/chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <pugixml.hpp>

namespace osprey {
namespace {

pugi::xml_document parsed(const std::string& svg) {
  pugi::xml_document document;
  const pugi::xml_parse_result result = document.load_string(svg.c_str());
  EXPECT_TRUE(result) << result.description() << "\n" << svg;
  EXPECT_STREQ(document.document_element().name(), "svg");
  for (const char* bad : {"nan", "inf"})
    EXPECT_EQ(svg.find(bad), std::string::npos) << svg.substr(svg.find(bad) - 20, 40);
  return document;
}

std::vector<HistoryPoint> falling(int iterations) {
  std::vector<HistoryPoint> history;
  for (int i = 1; i <= iterations; ++i) {
    const float loss = 50.0f / float(i);
    history.push_back({i, loss, loss, 0.001f, i % 10 == 0 ? float(i) / float(iterations) : -1});
  }
  return history;
}

TEST(Chart, IsWellFormed) {
  for (const int iterations : {0, 1, 2, 100, 5000}) {
    SCOPED_TRACE(iterations);
    parsed(chart_svg("net", falling(iterations), iterations, "mAP@0.5"));
    parsed(chart_svg("net", falling(iterations), 1000000, "mAP@0.5"));
  }
}

TEST(Chart, EscapesItsTitle) {
  const pugi::xml_document document = parsed(chart_svg("a<b>&\"c\"", falling(20), 20, "mAP@0.5"));
  bool found = false;
  for (const pugi::xpath_node& node : document.select_nodes("//text"))
    found |= std::string(node.node().text().get()).find("a<b>&\"c\"") != std::string::npos;
  EXPECT_TRUE(found);
}

TEST(Chart, LeavesOutLossesThatHaveNoLogarithm) {
  std::vector<HistoryPoint> history = falling(20);
  history[3].loss = history[3].average_loss = 0;
  history[5].loss = history[5].average_loss = NAN;
  parsed(chart_svg("net", history, 20, "mAP@0.5"));
  for (HistoryPoint& h : history) h.loss = h.average_loss = 0;
  parsed(chart_svg("net", history, 20, "mAP@0.5"));
}

}  // namespace
}  // namespace osprey
