#include "train/report/live_page.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/version.hpp>
#include <chrono>
#include <mutex>
#include <thread>

#include "core/error.h"

namespace osprey {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr const char* kWaiting =
    "<!DOCTYPE html><html><head><meta http-equiv=\"refresh\" content=\"3\"/></head>"
    "<body><p>The training has just begun.</p></body></html>";

class Page {
 public:
  void set(std::string html) {
    const std::lock_guard lock(mutex_);
    html_ = std::make_shared<const std::string>(std::move(html));
  }
  std::shared_ptr<const std::string> get() const {
    const std::lock_guard lock(mutex_);
    return html_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const std::string> html_ = std::make_shared<const std::string>(kWaiting);
};

// One request and its answer; lives as long as an operation of it waits.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, const Page& page) : stream_(std::move(socket)), page_(page) {}

  void run() {
    stream_.expires_after(std::chrono::seconds(10));
    http::async_read(stream_, buffer_, request_,
                     [self = shared_from_this()](beast::error_code error, size_t) {
                       if (!error) self->answer();
                     });
  }

 private:
  void answer() {
    const bool known = request_.target() == "/";
    const bool reads = request_.method() == http::verb::get || request_.method() == http::verb::head;
    answer_.version(request_.version());
    answer_.keep_alive(false);
    answer_.result(!known  ? http::status::not_found
                   : reads ? http::status::ok
                           : http::status::method_not_allowed);
    answer_.set(http::field::content_type, "text/html; charset=utf-8");
    answer_.set(http::field::cache_control, "no-store");
    if (known && request_.method() == http::verb::get) answer_.body() = *page_.get();
    answer_.prepare_payload();
    http::async_write(stream_, answer_, [self = shared_from_this()](beast::error_code, size_t) {
      beast::error_code ignored;  // the other side may have gone first
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{16 * 1024};  // of a request
  http::request<http::empty_body> request_;
  http::response<http::string_body> answer_;
  const Page& page_;
};

}  // namespace

struct LivePage::Server {
  Page page;
  asio::io_context context{1};
  tcp::acceptor acceptor{context};
  std::thread thread;

  void accept() {
    acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (!acceptor.is_open()) return;
      if (!error) std::make_shared<Session>(std::move(socket), page)->run();
      accept();
    });
  }
};

LivePage::LivePage(const std::string& host, int port) : server_(std::make_unique<Server>()) {
  try {
    const tcp::endpoint place(asio::ip::make_address(host), static_cast<unsigned short>(port));
    server_->acceptor.open(place.protocol());
    server_->acceptor.set_option(tcp::acceptor::reuse_address(true));
    server_->acceptor.bind(place);
    server_->acceptor.listen();
  } catch (const boost::system::system_error& e) {
    fail("the page of the training cannot be served at {}:{}: {}", host, port, e.code().message());
  }
  server_->accept();
  server_->thread = std::thread([server = server_.get()] { server->context.run(); });
}

LivePage::~LivePage() {
  server_->context.stop();
  server_->thread.join();
}

int LivePage::port() const { return server_->acceptor.local_endpoint().port(); }

void LivePage::show(std::string html) { server_->page.set(std::move(html)); }

}  // namespace osprey
