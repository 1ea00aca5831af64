// The reverse proxy of Go's standard library behind Coraza's own middleware, as both are documented to be used.
//
// usage: proxy RULES ORIGIN. It prints the address that it listens on, and serves until it is killed. Connections to the
// origin are kept, and requests are not logged.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/corazawaf/coraza/v3"
	corazahttp "github.com/corazawaf/coraza/v3/http"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func serve() error {
	if len(os.Args) != 3 {
		return errors.New("usage: proxy RULES ORIGIN")
	}
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectivesFromFile(os.Args[1]))
	if err != nil {
		return err
	}
	origin, err := url.Parse(os.Args[2])
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(origin)
			request.SetXForwarded()
			request.Out.Host = request.In.Host
		},
		Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, corazahttp.WrapHandler(waf, proxy))
}
