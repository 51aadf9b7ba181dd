// The page is well-formed whatever it has to tell, and says what was measured.
#include "train/report/page.h"

#include <gtest/gtest.h>

#include <pugixml.hpp>

#include "tests/train/drawn.h"
#include "train/report/run_report.h"
#include "train/report/sections.h"

namespace osprey {
namespace {

class Page : public testing::Test {
 protected:
  Page() {
    const DataFile data = read_data_file(draw_set(folder_, 6));
    set_ = load_dataset(data, Split::train);
    for (size_t i = 0; i < set_.samples.size(); ++i)
      for (const Label& label : set_.samples[i].labels)
        found_.truths.push_back({int(i), label.class_id,
                                 rectangle(scaled(corners(label.box), kDrawnSize, kDrawnSize)), false, false,
                                 0});
  }

  RunReport report() const {
    RunReport r;
    r.title = "a run";
    r.data_sections = shapes_section(set_, {{10, 14}}, kDrawnSize, kDrawnSize) + labels_section(set_, &set_);
    return r;
  }
  // One detection for each truth, of the class that `said` makes of the true one.
  template <class Said>
  void detect(Said said) {
    for (const TruthBox& t : found_.truths)
      found_.detections.push_back({t.image, said(t.class_id), 0.9, t.box});
  }

  Temporary folder_;
  Dataset set_;
  Evaluated found_;
};

pugi::xml_document parsed(const std::string& html) {
  pugi::xml_document document;
  const pugi::xml_parse_result result = document.load_string(html.c_str(), pugi::parse_full);
  EXPECT_TRUE(result) << result.description() << " at " << html.substr(size_t(result.offset), 200);
  return document;
}

std::vector<std::string> titles(const pugi::xml_document& page) {
  std::vector<std::string> all;
  for (const pugi::xpath_node& node : page.select_nodes("//h2")) all.push_back(node.node().text().get());
  return all;
}

TEST_F(Page, TellsOnlyWhatIsKnown) {
  EXPECT_TRUE(titles(parsed(report_html({}))).empty());
  EXPECT_EQ(titles(parsed(report_html(report()))),
            (std::vector<std::string>{"Shapes of the boxes", "Labels"}));
}

TEST_F(Page, PerfectDetectionsHaveNoPictures) {
  detect([](int class_id) { return class_id; });
  RunReport r = report();
  r.findings = findings_of(set_, found_);
  const pugi::xml_document page = parsed(report_html(r));
  EXPECT_STREQ(page.select_node("//div[@class='figures']/div/b").node().text().get(), "100.0 %");
  EXPECT_TRUE(page.select_nodes("//figure").empty());
}

TEST_F(Page, ConfusedClassesAreCountedAndShown) {
  detect([](int) { return 0; });
  RunReport r = report();
  r.findings = findings_of(set_, found_);
  const pugi::xml_document page = parsed(report_html(r));
  int64_t reds = 0;
  std::vector<bool> wrong(set_.samples.size());
  for (const TruthBox& t : found_.truths) {
    reds += t.class_id == 0;
    if (t.class_id == 1) wrong[size_t(t.image)] = true;
  }
  const auto cell = [&](const std::string& row, int column) {
    const std::string path =
        "//section[h2='What is taken for what']//tr[td[1]='" + row + "']/td[" + std::to_string(column) + "]";
    return page.select_node(path.c_str()).node().text().as_llong();
  };
  EXPECT_EQ(cell("red", 2), reds);
  EXPECT_EQ(cell("blue", 2), int64_t(found_.truths.size()) - reds);
  EXPECT_EQ(cell("blue", 3), 0);
  // Every image with a blue rectangle is a picture with its bytes in the page, and each frame has its words.
  EXPECT_EQ(int64_t(page.select_nodes("//figure").size()), std::count(wrong.begin(), wrong.end(), true));
  for (const pugi::xpath_node& image : page.select_nodes("//figure//image"))
    EXPECT_TRUE(
        std::string(image.node().attribute("href").value()).starts_with("data:image/jpeg;base64,/9j/"));
  EXPECT_EQ(int64_t(page.select_nodes("//figure//title[.='red 90%, is blue']").size()),
            int64_t(found_.truths.size()) - reds);
}

TEST_F(Page, WarnsOfWhatIsHardToLearn) {
  const auto warnings = [&](const std::string& net) {
    Network network(parse_cfg(drawn_cfg(10, net), "drawn.cfg"));
    network.plan(1, network.net().width, network.net().height);
    RunReport r;
    r.warnings = {"first of all"};
    describe_data(r, network, set_, nullptr);
    const pugi::xml_document page = parsed(report_html(r));
    std::vector<std::string> all;
    for (const pugi::xpath_node& node : page.select_nodes("//li")) all.push_back(node.node().text().get());
    return all;
  };
  EXPECT_EQ(warnings(""), std::vector<std::string>{"first of all"});
  set_.report.boxes_per_class = {100, 4};
  EXPECT_EQ(warnings("").size(), 2u);
  expect_in("blue: 4 boxes", warnings("").back());
  set_.report.boxes_per_class = {100, 5};  // a twentieth is enough
  EXPECT_EQ(warnings("").size(), 1u);
  set_.report.boxes_per_class = {0, 100};
  expect_in("cannot be learnt: red", warnings("").back());
  set_.report.boxes_per_class = {100, 100};
  set_.report.missing_labels = 3;
  expect_in("3 of 6 training images have no label file", warnings("").back());
  set_.report.missing_labels = 0;
  // Of objects of 10 to 18 of 64 pixels the smallest are less than half a cell of 8 pixels then.
  expect_in("half a cell of the finest map", warnings("width=16\nheight=16\n").back());
}

TEST_F(Page, NamesCannotBreakIt) {
  set_.names = {"<b>&\"red\"", "</section>"};
  detect([](int) { return 0; });
  RunReport r = report();
  r.title = "</title><script>";
  r.facts = {{"network", "a<b & c"}};
  r.warnings = {"<ul>"};
  r.history = {{1, 2.5f, 2.5f, 0.001f, 0.5f}};
  r.max_batches = 10;
  r.findings = findings_of(set_, found_);
  const pugi::xml_document page = parsed(report_html(r));
  EXPECT_STREQ(page.select_node("//h1").node().text().get(), "</title><script>");
  EXPECT_STREQ(page.select_node("//li").node().text().get(), "<ul>");
  EXPECT_TRUE(page.select_nodes("//script").empty());
}

TEST_F(Page, OfEmptySetsIsWellFormed) {
  Dataset empty;
  empty.names = {"one"};
  empty.report.boxes_per_class = {0};
  RunReport r = report();
  r.data_sections = shapes_section(empty, {}, kDrawnSize, kDrawnSize) + labels_section(empty, &empty);
  r.findings = findings_of(empty, {});
  parsed(report_html(r));
}

TEST_F(Page, RefreshesItselfWhileServed) {
  const RunReport r = report();
  EXPECT_TRUE(parsed(report_html(r)).select_nodes("//meta[@http-equiv]").empty());
  EXPECT_STREQ(
      parsed(report_html(r, 7)).select_node("//meta[@http-equiv]").node().attribute("content").value(), "7");
}

}  // namespace
}  // namespace osprey
