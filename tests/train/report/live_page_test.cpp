// The page that is served, asked as a browser would.
#include "train/report/live_page.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "tests/data/temporary.h"

namespace osprey {
namespace {

using boost::asio::ip::tcp;

// All that comes back for these bytes.
std::string answer(const LivePage& page, const std::string& request) {
  boost::asio::io_context context;
  tcp::socket socket(context);
  socket.connect({boost::asio::ip::make_address("127.0.0.1"), static_cast<unsigned short>(page.port())});
  std::string text;
  boost::system::error_code closed;  // by the server, which need not read to the end
  boost::asio::write(socket, boost::asio::buffer(request), closed);
  boost::asio::read(socket, boost::asio::dynamic_buffer(text), closed);
  return text;
}

std::string get(const LivePage& page, const std::string& path) {
  return answer(page, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

TEST(LivePage, ShowsTheLastPage) {
  LivePage page("127.0.0.1", 0);
  EXPECT_TRUE(get(page, "/").starts_with("HTTP/1.1 200 OK\r\n"));
  expect_in("just begun", get(page, "/"));
  page.show("<p>first</p>");
  page.show("<p>second</p>");
  const std::string text = get(page, "/");
  expect_in("\r\n\r\n<p>second</p>", text);
  expect_in("Content-Type: text/html; charset=utf-8\r\n", text);
}

TEST(LivePage, HasNothingElse) {
  LivePage page("127.0.0.1", 0);
  page.show("secret");
  for (const std::string path : {"/other", "/../etc/passwd", "/?x"}) {
    const std::string text = get(page, path);
    EXPECT_TRUE(text.starts_with("HTTP/1.1 404 ")) << text;
    EXPECT_EQ(text.find("secret"), std::string::npos);
  }
  EXPECT_TRUE(
      answer(page, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").starts_with("HTTP/1.1 405 "));
  const std::string head = answer(page, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head;
  EXPECT_EQ(head.find("secret"), std::string::npos);
}

TEST(LivePage, SurvivesNonsense) {
  LivePage page("127.0.0.1", 0);
  answer(page, "\x01\x02\r\n\r\n");
  answer(page, "GET / HTTP/1.1\r\nX: " + std::string(100000, 'x') + "\r\n\r\n");
  page.show("still here");
  expect_in("still here", get(page, "/"));
}

TEST(LivePage, RefusesAPortThatIsTaken) {
  const LivePage page("127.0.0.1", 0);
  expect_in("cannot be served at 127.0.0.1:", error_of([&] { LivePage("127.0.0.1", page.port()); }));
}

}  // namespace
}  // namespace osprey
