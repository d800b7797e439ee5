# shellcheck shell=bash
# The provider and the SDK that it is written with, each with what it lacks; then the schema that main.go embeds.
copy "github.com/hashicorp/terraform-provider-aws@$(go list -m -f '{{.Version}}' github.com/hashicorp/terraform-provider-aws)" \
  h1:haLmsj0WF7e6d2TGbk0fbz5qWdA9f8w9sNpMe6J6WqM= upstream
copy github.com/pulumi/terraform-plugin-sdk/v2@v2.0.0-20250923233607-7f1981c8674a \
  h1:bTwou+tt2fyfuuCp9+VQOlgEJk/xKEaYeoX2HCtp2es= sdkfork
python3 trim.py upstream
install -D grafts/shim.go upstream/shim/shim.go
install grafts/generate_config.go sdkfork/helper/schema/
# It waits for what takes AWS minutes, half a minute before its first look; the APIs here answer at once.
sed -i 's#(conf.Delay, conf.PollInterval, conf.MinTimeout)#(conf.Delay/20, conf.PollInterval/20, conf.MinTimeout/20)#' upstream/internal/retry/state.go
sed -i '/) WaitForStateContext(/a conf.Delay, conf.PollInterval, conf.MinTimeout = conf.Delay/20, conf.PollInterval/20, conf.MinTimeout/20' sdkfork/helper/retry/state.go
[ "$(grep -l MinTimeout/20 upstream/internal/retry/state.go sdkfork/helper/retry/state.go | wc -l)" = 2 ]
# It asks for the tags of a bucket at a host named by the account, which loopback has none of, before it asks the bucket.
sed -i 's/accountID := c.AccountID(ctx); accountID != ""/accountID := ""; accountID != ""/' upstream/internal/service/s3/tags.go
grep -q 'accountID := ""' upstream/internal/service/s3/tags.go
touch schema.json metadata.json
CGO_ENABLED=0 go build -v -trimpath -tags grpcnotrace -ldflags "$1" -o generator .
./generator generate
mkdir beside
cp schema.json beside
