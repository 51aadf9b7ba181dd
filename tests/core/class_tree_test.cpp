#include "core/class_tree.h"

#include "tests/data/temporary.h"

namespace osprey {
namespace {

// Two roots, of which the first has three children, of which the second has two.
const char* const kTree = "a -1\nb -1\n\nc 0\r\nd 0\ne\t0\nf 3\ng 3\n";

TEST(ClassTree, ReadsGroupsOfSiblings) {
  const Temporary folder;
  const ClassTreeTables tree = read_class_tree(folder.write("a.tree", kTree));
  EXPECT_EQ(tree.parents, (std::vector<int>{-1, -1, 0, 0, 0, 3, 3}));
  EXPECT_EQ(tree.groups, (std::vector<int>{0, 2, 5, 7}));
  EXPECT_EQ(tree.group_of, (std::vector<int>{0, 0, 1, 1, 1, 2, 2}));
  EXPECT_EQ(tree.children, (std::vector<int>{1, -1, -1, 2, -1, -1, -1}));
}

TEST(ClassTree, MultipliesAlongTheBranch) {
  const Temporary folder;
  const ClassTreeTables tables = read_class_tree(folder.write("a.tree", kTree));
  const ClassTree tree = tables.view();
  const float conditional[] = {.5f, .5f, .25f, .5f, .25f, .75f, .25f};
  EXPECT_EQ(tree.probability(conditional, 1), .5f);
  EXPECT_EQ(tree.probability(conditional, 5), .5f * .5f * .75f);
  EXPECT_EQ(tree.of_ancestors(conditional, 5), .25f);
  EXPECT_EQ(tree.of_ancestors(conditional, 0), 1);
  EXPECT_EQ(tree.most_special(conditional, .5f), -1);  // 0.5 is not more than that
  EXPECT_EQ(tree.most_special(conditional, .3f), 0);   // of equals the first
  EXPECT_EQ(tree.most_special(conditional, .2f), 3);
  EXPECT_EQ(tree.most_special(conditional, .18f), 5);
}

TEST(ClassTree, LiesBesideTheCfgIfNotInTheCurrentFolder) {
  const Temporary folder;
  folder.write("networks/a.map", "2\n0\n");
  const std::string file = find_class_file("a.map", folder / "networks/x.cfg");
  EXPECT_EQ(file, folder / "networks/a.map");
  EXPECT_EQ(read_class_map(file), (std::vector<int>{2, 0}));
  EXPECT_EQ(find_class_file("a.map", folder / "x.cfg"), "");
}

TEST(ClassTree, ExplainsWhatIsWrongWithItsFile) {
  const Temporary folder;
  const auto error = [&](const std::string& text) {
    return error_of([&] { read_class_tree(folder.write("a.tree", text)); });
  };
  expect_in("a.tree:2: expected a name and the number of its parent", error("a -1\nb\n"));
  expect_in("a.tree:1: expected a name and the number of its parent", error("a -1 b\n"));
  expect_in("a.tree:2: expected a name", error("a -1\nb 0x\n"));
  expect_in("a.tree:2: the parent of class 1 must be -1 or a class before it, not 1", error("a -1\nb 1\n"));
  expect_in("a.tree:1: the parent of class 0 must be -1 or a class before it, not -2", error("a -2\n"));
  expect_in("a.tree: no class in it", error("\n"));
}

}  // namespace
}  // namespace osprey
