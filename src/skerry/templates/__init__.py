"""The language of ARM templates: from a request's template and parameters to resources in the order to deploy them.

`lenient.loads` reads the request, `plan.Plan` is what a deployment runs by, `errors.TemplateError` is all that goes
wrong. Nothing here knows a resource type, a database or the network.
"""
